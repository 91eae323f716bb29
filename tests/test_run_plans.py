"""The checks after training, for the verbs that train."""

import pytest
from runs import write_run

from common.errors import CheckFailed
from experiments.cli.demo import DEMO
from experiments.cli.run_plans import check_replicas
from experiments.config.strategies import BUILTIN
from experiments.runs.find import load_run


def test_demo_runs_strategies_that_exist():
    assert set(DEMO) <= set(BUILTIN)
    assert {"single", "noop"} <= set(DEMO)


def test_a_strategy_that_breaks_its_promise_of_equal_replicas_is_found_out(tmp_path):
    fine = load_run(write_run(tmp_path, "ring"))
    check_replicas([fine, load_run(write_run(tmp_path, "noop", replicas_equal=False, params_sha256=["a", "b"]))])
    with pytest.raises(CheckFailed, match=r"star promises equal replicas, but 2 of"):
        check_replicas([fine, load_run(write_run(tmp_path, "star", params_sha256=["a", "b"]))])
