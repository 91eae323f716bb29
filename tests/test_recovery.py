"""The deaths that a job survives, and the step from which its ranks go on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import job, run

from common.errors import PeerFailed, RunError
from common.place import Place
from common.runtime.checkpoint import SUFFIX, Checkpoints
from common.runtime.status_board import StatusBoard
from common.transport.virtual.network import Kill, Network
from experiments.launch.failure import RunningJob
from experiments.launch.incarnation import Incarnation
from experiments.launch.mpirun import LOST
from experiments.launch.recovery import Restarts, survivable, survive
from experiments.runs.describe import deaths_line, restarts_line
from experiments.schema.documents import Death, Restart
from ps.strategy import PsAsync, PsSsp

JOB, WORKERS, SERVERS = 4711, range(2), range(2, 4)


@pytest.fixture
def running(tmp_path):
    """Two workers and two servers, all alive."""
    home = tmp_path / "job"
    home.mkdir()
    running = RunningJob(home, StatusBoard(home / "board", 4, create=True), len(WORKERS))
    running.ranks += [SimpleNamespace(exitcode=None) for _ in range(4)]
    yield running
    running.board.close()


def saved(folder, rank, *versions, every=10):
    kept = Checkpoints(folder / str(rank), every, Place(rank, "server"), JOB)
    for version in versions:
        kept.save(version, {"version": np.array(version)})


def killed(running, *ranks, exitcode=-9):
    for rank in ranks:
        running.ranks[rank].exitcode = exitcode
    return list(ranks)


def announced(running, restarts, *ranks):
    restarts.announce(running, ranks, JOB)
    return Incarnation.read(running.home / str(running.board.incarnation))


@pytest.mark.parametrize(
    ("ranks", "left", "possible"),
    [((2,), 1, True), ((2, 3), 2, True), ((2, 3), 1, False), ((2,), 0, False), ((1,), 3, False), ((1, 2), 3, False)],
)
def test_killed_servers_can_come_back_as_often_as_was_asked_and_workers_cannot(
    running, tmp_path, ranks, left, possible
):
    assert Restarts(left, tmp_path, True).possible(running, killed(running, *ranks)) == possible


def test_a_server_that_reported_an_error_does_not_come_back(running, tmp_path):
    failed = killed(running, 2, exitcode=1)
    (running.home / "report-2.json").write_text(json.dumps({"error": {"type": "RunError"}}))
    assert not Restarts(1, tmp_path, True).possible(running, failed)


def test_no_server_comes_back_once_a_worker_is_gone(running, tmp_path):
    running.deaths.append(Death(rank=1, step=3, stage="train", cause="killed"))
    assert not Restarts(1, tmp_path, False).possible(running, killed(running, 2))


def test_the_death_of_a_worker_that_has_not_joined_again_is_not_survivable(running, tmp_path):
    for worker in WORKERS:
        running.board.enter(worker, 7, "train")
    killed(running, 1)
    assert survivable(running, 1)
    announced(running, Restarts(1, tmp_path, False), 2)
    assert not survivable(running, 1)


def test_no_server_comes_back_without_the_fork_server(running, tmp_path):
    assert not Restarts(1, tmp_path, True).possible(running, killed(running, 2, exitcode=LOST))


@pytest.mark.parametrize(
    ("one", "other", "resumed", "step"),
    [
        ((10, 20), (10, 20), True, 20),
        ((10, 20), (20, 30), True, 20),
        ((0,), (0, 10), True, 0),
        ((10,), (), False, 0),
        ((10, 20), (30, 40), False, 0),
    ],
)
def test_a_roll_back_goes_to_the_newest_step_that_all_servers_have_or_to_the_start(
    running, tmp_path, one, other, resumed, step
):
    saved(tmp_path, 2, *one)
    saved(tmp_path, 3, *other)
    restarts = Restarts(2, tmp_path, True)
    found = announced(running, restarts, 3)
    assert (found.resumed, found.step) == (resumed, step)
    assert restarts.left == 1
    (entry,) = restarts.done
    assert (entry.rank, entry.step, entry.resumed_from, entry.incarnation) == (3, -1, step, 1)


@pytest.mark.parametrize(("done", "step"), [((25, 20), 20), ((20, 19), 10), ((19, 5), 20)])
def test_a_roll_back_goes_to_a_step_that_all_workers_have_recorded_if_there_is_one(running, tmp_path, done, step):
    for rank in SERVERS:
        saved(tmp_path, rank, 10, 20)
    for worker in range(WORKERS.stop):
        running.board.done(worker, done[worker], 0.5, [0.0] * 6)
    assert announced(running, Restarts(1, tmp_path, True), 3).step == step


def test_a_damaged_checkpoint_is_passed_over_and_named(running, tmp_path):
    for rank in SERVERS:
        saved(tmp_path, rank, 10, 20)
    with open(tmp_path / "2" / f"20{SUFFIX}", "r+b") as file:
        file.truncate(100)
    restarts = Restarts(1, tmp_path, True)
    assert announced(running, restarts, 3).step == 10
    assert restarts.done[0].damaged == (f"20{SUFFIX} is damaged: its checksum does not match",)


@pytest.mark.parametrize(
    ("one", "other", "resumed", "step", "since"),
    [((10, 20), (30,), True, None, 30), ((0,), (), False, 0, 0), ((), (20,), False, 0, 0)],
)
def test_without_rollback_the_dead_server_takes_its_own_newest_checkpoint(
    running, tmp_path, one, other, resumed, step, since
):
    saved(tmp_path, 2, *one)
    saved(tmp_path, 3, *other)
    restarts = Restarts(1, tmp_path, False)
    found = announced(running, restarts, 3)
    assert (found.resumed, found.step, restarts.done[0].resumed_from) == (resumed, step, since)


def test_every_incarnation_has_a_number_a_folder_and_an_id_of_its_own(running, tmp_path):
    restarts = Restarts(5, tmp_path, True)
    found = [announced(running, restarts, rank) for rank in (2, 3, 2)]
    assert [each.number for each in found] == [1, 2, 3] == [int(each.home.name) for each in found]
    assert len({each.id for each in found} | {JOB}) == 4
    assert all(each.home.stat().st_mode & 0o077 == 0 for each in found)


def test_reports_of_an_earlier_incarnation_do_not_count(running, tmp_path):
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 0}))
    assert running.all_reported()
    running.board.reincarnate(1)
    assert not running.all_reported()
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 1}))
    assert running.all_reported()


def test_a_rank_that_is_killed_after_all_have_reported_has_not_failed(running):
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 0}))
    killed(running, 3)
    assert running.failed() == [3]
    running.board.dismiss()
    assert running.failed() == []


def test_a_line_names_the_servers_that_came_back_and_the_lost_pushes():
    restart = Restart(rank=3, at=1.25, step=17, stage="train", resumed_from=10, incarnation=1)
    once = "server rank 3 died at 1.2 s in step 17 and came back from step 10"
    assert restarts_line([restart], 0) == once
    assert restarts_line([restart, restart], 1) == f"{once}; {once}; 1 push lost"


# --- workers whose death the job survives ---

NETWORK = Network(latency=0.01)


@pytest.fixture
def three_workers(tmp_path):
    """A job of three workers, in step 7, and a server."""
    board = StatusBoard(tmp_path / "board", 4, create=True)
    for rank in range(3):
        board.enter(rank, 7, "train")
    yield RunningJob(tmp_path, board, 3, [SimpleNamespace(exitcode=None) for _ in range(4)])
    board.close()


def test_the_death_of_a_worker_is_noted_and_all_ranks_learn_of_it(three_workers):
    three_workers.ranks[1].exitcode = -9
    survive(three_workers)
    (death,) = three_workers.deaths
    assert death == Death(rank=1, step=7, stage="train", cause="killed by signal 9 (SIGKILL)")
    assert StatusBoard(three_workers.home / "board", 4).departed() == {1}
    assert three_workers.failed() == []
    survive(three_workers)
    assert len(three_workers.deaths) == 1


def test_a_servers_death_is_not_survived(three_workers):
    three_workers.ranks[3].exitcode = -9
    survive(three_workers)
    assert (three_workers.deaths, three_workers.failed()) == ([], [3])


def test_a_worker_that_reports_an_error_is_not_survivable(three_workers):
    three_workers.ranks[1].exitcode = 1
    error = RunError("a bug", rank=1, role="worker", stage="train", step=7)
    (three_workers.home / "report-1.json").write_text(json.dumps({"error": error.record()}))
    assert not survivable(three_workers, 1)


def test_no_death_is_survivable_during_the_set_up(three_workers):
    three_workers.board.enter(2, -1, "setup")
    three_workers.ranks[1].exitcode = -9
    assert not survivable(three_workers, 1)


def test_the_death_of_the_last_worker_is_survivable_only_if_another_ended_well(three_workers):
    for rank in (0, 1):
        three_workers.ranks[rank].exitcode = -9
        survive(three_workers)
    three_workers.ranks[2].exitcode = -9
    assert not survivable(three_workers, 2)
    three_workers.departed.clear()
    three_workers.deaths.pop()
    three_workers.ranks[1].exitcode = 0
    assert survivable(three_workers, 2)


def test_dead_ranks_need_not_report(three_workers):
    for rank in (0, 2, 3):
        (three_workers.home / f"report-{rank}.json").write_text("{}")
    assert not three_workers.all_reported()
    three_workers.ranks[1].exitcode = -9
    survive(three_workers)
    assert three_workers.all_reported()


def test_a_line_names_dead_workers_and_how_many_are_left():
    deaths = [
        Death(rank=2, step=120, stage="train", cause="killed"),
        Death(rank=0, step=-2, stage="finish", cause="lost"),
    ]
    assert deaths_line(deaths, 3) == (
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


def test_a_rank_that_does_not_learn_of_a_death_ends_with_an_error_that_names_the_dead():
    errors = survivors(lambda: PsSsp(1), 2, 0.5, told=False).outcome.errors
    assert set(errors) == {0, 1, 2, 3}
    assert isinstance(errors[3], PeerFailed)
    assert errors[3].rank == 2
