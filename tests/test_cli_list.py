"""The verb list: every name, and what it means."""

import json
import re
from importlib.metadata import EntryPoint

import pytest

from common.data import DATASETS, ELSEWHERE
from common.models import MODELS
from common.pipeline.partition import PARTITIONERS
from common.pipeline.transform_names import TRANSFORMS
from experiments.config import strategies
from experiments.config.strategies import BUILTIN


def test_list_names_everything_and_says_what_it_is(answer):
    code, out, err = answer("list")
    assert (code, err) == (0, "")
    for name in [*BUILTIN, *MODELS, *DATASETS, *ELSEWHERE, *PARTITIONERS, *TRANSFORMS]:
        assert re.search(rf"^  {name} +\S", out, re.MULTILINE)
    assert re.search(r"^  ps-ssp .*\n +options: --strategy.staleness, ", out, re.MULTILINE)


def test_list_as_json_says_what_each_strategy_promises(answer):
    code, out, err = answer("list", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert set(found["strategies"]) == set(BUILTIN)
    assert found["strategies"]["ps-bsp"]["servers"] is True
    assert found["strategies"]["ring"]["consistency"] == "bsp"
    assert found["strategies"]["ring"]["options"] == []
    assert found["strategies"]["double-tree"]["options"] == ["chunks"]
    assert (set(found["models"]), set(found["data"])) == (set(MODELS), {*DATASETS, *ELSEWHERE})
    assert (set(found["partitioners"]), set(found["transforms"])) == (set(PARTITIONERS), set(TRANSFORMS))


@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_a_broken_plug_in_does_not_hide_the_other_strategies(answer, monkeypatch, words):
    broken = EntryPoint("broken", "not_installed_at_all:Strategy", strategies.GROUP)
    monkeypatch.setattr(strategies, "entry_points", lambda group: [broken])
    code, out, err = answer(*words)
    assert (code, err) == (0, "")
    assert "ring" in out
    assert "the module does not exist" in out
