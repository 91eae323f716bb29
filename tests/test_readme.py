"""What the README shows works when pasted, and what it links to is there."""

import re
from pathlib import Path

import pytest

from allreduce.strategy import AllReduce
from common.testing import check_strategy

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
STRATEGY, SIMULATION = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_strategy_keeps_its_promises_and_has_15_lines_at_most():
    names = {}
    exec(STRATEGY, names)
    (strategy,) = (each for each in names.values() if isinstance(each, type) and each is not AllReduce)
    assert check_strategy(strategy) > 50
    assert len(STRATEGY.strip().splitlines()) <= 15


def test_the_simulation_prints_what_is_said_below_it(capsys):
    exec(SIMULATION, {})
    (said,) = re.findall(r"^prints (.*): the incast", README, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == re.findall(r"`([^`]*)`", said)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!https:)[^)#]+)\)", README))))
def test_what_it_links_to_exists(link):
    assert (ROOT / link).exists()


def test_the_table_is_that_of_the_demo():
    table = README.partition("<!-- demo table -->")[2].partition("<!-- /demo table -->")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == ["single", "ps-bsp", "star", "ring", "tree", "noop"]
