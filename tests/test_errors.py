"""Errors say where and why, and a wrong name comes with the nearest known one."""

import json

import pytest

from common.errors import (
    FINISH,
    SETUP,
    CheckFailed,
    ConfigError,
    DeadlineExceeded,
    Deadlock,
    PeerFailed,
    ProtocolError,
    RunError,
    SyncbenchError,
    step_name,
    suggest,
)

IN_A_RUN = [PeerFailed, DeadlineExceeded, ProtocolError, Deadlock]


@pytest.mark.parametrize(("step", "name"), [(0, "step 0"), (12, "step 12"), (SETUP, "setup"), (FINISH, "finish")])
def test_a_step_has_a_name(step, name):
    assert step_name(step) == name


def test_setup_and_finish_are_no_steps():
    assert SETUP < 0
    assert FINISH < 0
    assert SETUP != FINISH


@pytest.mark.parametrize("kind", IN_A_RUN)
def test_an_error_of_a_run_prints_rank_role_stage_step_and_cause(kind):
    error = kind("the cable is out", rank=3, role="worker", stage="synchronize", step=12)
    assert str(error) == "worker rank 3, stage synchronize, step 12: the cable is out"


@pytest.mark.parametrize("kind", IN_A_RUN)
def test_the_record_of_an_error_is_json_with_all_its_fields(kind):
    error = kind("gone", rank=4, role="server", stage="setup", step=SETUP)
    expected = {
        "type": kind.__name__,
        "rank": 4,
        "role": "server",
        "stage": "setup",
        "step": SETUP,
        "cause": "gone",
    }
    assert json.loads(json.dumps(error.record())).items() >= expected.items()


def test_a_missed_deadline_keeps_the_ranks_that_it_waited_for():
    error = DeadlineExceeded("waited", peers=[2, 3], rank=0, role="worker", stage="train", step=1)
    assert error.peers == (2, 3)
    assert error.record()["peers"] == [2, 3]


def test_a_missed_deadline_may_not_know_the_ranks_that_it_waited_for():
    error = DeadlineExceeded("waited", rank=0, role="worker", stage="train", step=1)
    assert error.peers == ()
    assert error.record()["peers"] == []


@pytest.mark.parametrize("kind", IN_A_RUN)
def test_errors_of_a_run_are_one_family_and_the_users_mistakes_another(kind):
    assert issubclass(kind, RunError)
    assert issubclass(kind, SyncbenchError)
    for other in (ConfigError, CheckFailed):
        assert issubclass(other, SyncbenchError)
        assert not issubclass(other, RunError)


def test_a_near_name_is_suggested():
    assert suggest("rnig", ["star", "ring", "tree"]) == "did you mean ring?"


def test_only_the_best_guess_is_suggested():
    assert suggest("stratgies", ["strategies", "trace", "steps", "strategy"]) == "did you mean strategies?"


def test_equally_near_names_are_joined():
    assert suggest("ps-sp", ["ps-bsp", "ps-ssp", "ring"]) in (
        "did you mean ps-bsp or ps-ssp?",
        "did you mean ps-ssp or ps-bsp?",
    )


def test_without_a_near_name_all_are_listed_in_order():
    assert suggest("xyz", ["tree", "ring", "star"]) == "known: ring, star, tree"
