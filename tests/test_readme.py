"""What the README shows works when pasted, and what it links to is there."""

import re
from pathlib import Path

import pytest

from allreduce.strategy import AllReduce
from common.testing.checks import check_strategy
from experiments.cli.demo import DEMO
from experiments.cli.main import VERBS

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


def test_the_tables_are_those_of_the_demo():
    shown = README.partition("<!-- demo table -->")[2].partition("<!-- /demo table -->")[0].strip()
    assert re.match(r"\*\*(Against ps-bsp|There is no verdict) .*\.\*\*$", shown, re.MULTILINE)
    names = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("|")]
    first, second = names[: len(names) // 2], names[len(names) // 2 :]
    assert first == second
    assert (first[0], set(first[2:])) == ("strategy", set(DEMO))
    heads = [line for line in shown.splitlines() if line.startswith("| strategy |")]
    assert [("verdict" in head, "sync %" in head) for head in heads] == [(True, False), (False, True)]


def test_each_command_of_the_page_is_one():
    lines = re.findall(r"^\$ syncbench (\S+)", README, re.MULTILINE)
    assert len(lines) > 15
    assert set(lines) <= set(VERBS)
