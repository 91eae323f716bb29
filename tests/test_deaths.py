"""Which deaths a job goes on without, what the servers make of them, and what the result says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import job, run

from common.errors import PeerFailed, RunError
from common.runtime.status_board import StatusBoard
from common.transport.virtual.network import Kill, Network
from experiments.launch.deaths import deaths_line, survivable, survive
from experiments.launch.failure import Running
from ps.strategy import PsAsync, PsSsp

NETWORK = Network(latency=0.01)


@pytest.fixture
def running(tmp_path):
    """A job of three workers, in step 7, and a server."""
    board = StatusBoard(tmp_path / "board", 4, create=True)
    for rank in range(3):
        board.enter(rank, 7, "train")
    yield Running(tmp_path, board, [SimpleNamespace(exitcode=None) for _ in range(4)])
    board.close()


def test_a_worker_that_is_killed_is_noted_and_told_to_all(running):
    running.ranks[1].exitcode = -9
    survive(running, 3)
    (death,) = running.deaths
    assert death == {"rank": 1, "step": 7, "stage": "train", "cause": "killed by signal 9 (SIGKILL)"}
    assert StatusBoard(running.home / "board", 4).departed() == {1}
    assert running.failed() == []
    survive(running, 3)
    assert len(running.deaths) == 1


def test_a_servers_death_is_not_survived(running):
    running.ranks[3].exitcode = -9
    survive(running, 3)
    assert (running.deaths, running.failed()) == ([], [3])


def test_a_worker_that_complains_has_met_a_mistake_that_counts(running):
    running.ranks[1].exitcode = 1
    error = RunError("a bug", rank=1, role="worker", stage="train", step=7)
    (running.home / "report-1.json").write_text(json.dumps({"error": error.record()}))
    assert not survivable(running, 1, 3)


def test_nobody_is_missed_before_all_have_their_first_parameters(running):
    running.board.enter(2, -1, "setup")
    running.ranks[1].exitcode = -9
    assert not survivable(running, 1, 3)


def test_the_last_worker_is_not_survived_unless_another_came_to_its_end(running):
    for rank in (0, 1):
        running.ranks[rank].exitcode = -9
        survive(running, 3)
    running.ranks[2].exitcode = -9
    assert not survivable(running, 2, 3)
    running.departed.clear()
    running.deaths.pop()
    running.ranks[1].exitcode = 0
    assert survivable(running, 2, 3)


def test_the_dead_need_not_report(running):
    for rank in (0, 2, 3):
        (running.home / f"report-{rank}.json").write_text("{}")
    assert not running.all_reported()
    running.ranks[1].exitcode = -9
    survive(running, 3)
    assert running.all_reported()


def test_the_line_says_from_which_step_on_how_many_worked():
    entries = [{"rank": 2, "step": 120, "cause": "killed"}, {"rank": 0, "step": -2, "cause": "lost"}]
    assert deaths_line(entries, 3) == (
        "worker rank 2 died in step 120 (killed): 2 workers from there on; "
        "worker rank 0 died in finish (lost): 1 worker from there on"
    )


# --- servers and survivors, in virtual time ---


def survivors(make, culprit, moment, *, told=True):
    """A job of three workers, of whom one dies; the others learn of it if `told`."""

    def ready(ctx):
        if told:
            ctx.departed = lambda: frozenset({culprit} if ctx.now() >= moment else ())

    def served(ctx, *rest):
        ready(ctx)
        return serve(ctx, *rest)

    def made():
        nonlocal serve
        strategy = make()
        serve = strategy.serve
        strategy.serve = served
        return strategy

    serve = None
    name = "ps-async"
    this = job(name, servers=1, steps=8, on_worker_death="continue", train_seconds=0.1)
    faults = [Kill(culprit, at=moment)]
    return run(this, make=made, network=NETWORK, ready=ready, faults=faults, check=False)


@pytest.mark.parametrize("culprit", [0, 2])
@pytest.mark.parametrize("make", [PsAsync, lambda: PsSsp(1)], ids=["async", "ssp"])
def test_survivors_do_all_their_steps_and_end_with_the_same_parameters(make, culprit):
    result = survivors(make, culprit, 0.5)
    assert set(result.outcome.errors) == {culprit}
    alive = [worker for worker in range(3) if worker != culprit]
    assert all(len(result.records[worker]) == 8 for worker in alive)
    assert len(result.records[culprit]) < 8
    first, second = (result.trained[worker] for worker in alive)
    assert np.array_equal(first.params, second.params)
    assert [first.test_accuracy is None, second.test_accuracy is None] == [False, True]


def test_who_is_not_told_ends_with_an_error_that_names_the_dead():
    errors = survivors(lambda: PsSsp(1), 2, 0.5, told=False).outcome.errors
    assert set(errors) == {0, 1, 2, 3}
    assert isinstance(errors[3], PeerFailed)
    assert errors[3].rank == 2
