"""Which deaths a job survives, and what its ranks go on from."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from common.place import Place
from common.runtime.checkpoint import SUFFIX, Checkpoints
from common.runtime.status_board import StatusBoard
from experiments.launch.deaths import survivable
from experiments.launch.failure import Running
from experiments.launch.incarnation import Incarnation
from experiments.launch.processes import LOST
from experiments.launch.recovery import Restarts, restarts_line

JOB, WORKERS, SERVERS = 4711, range(2), range(2, 4)


@pytest.fixture
def running(tmp_path):
    """Two workers and two servers, all alive."""
    home = tmp_path / "job"
    home.mkdir()
    running = Running(home, StatusBoard(home / "board", 4, create=True))
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
    restarts.announce(running, ranks, SERVERS, JOB)
    return Incarnation.read(running.home / str(running.board.incarnation))


@pytest.mark.parametrize(
    ("ranks", "left", "possible"),
    [((2,), 1, True), ((2, 3), 2, True), ((2, 3), 1, False), ((2,), 0, False), ((1,), 3, False), ((1, 2), 3, False)],
)
def test_servers_that_were_killed_can_come_back_as_often_as_was_asked_and_workers_cannot(
    running, tmp_path, ranks, left, possible
):
    assert Restarts(left, tmp_path, True).possible(running, killed(running, *ranks), WORKERS) == possible


def test_a_server_that_has_said_what_went_wrong_does_not_come_back(running, tmp_path):
    failed = killed(running, 2, exitcode=1)
    (running.home / "report-2.json").write_text(json.dumps({"error": {"type": "RunError"}}))
    assert not Restarts(1, tmp_path, True).possible(running, failed, WORKERS)


def test_once_a_worker_is_gone_no_server_comes_back_as_all_would_wait_for_it(running, tmp_path):
    running.deaths.append({"rank": 1})
    assert not Restarts(1, tmp_path, False).possible(running, killed(running, 2), WORKERS)


def test_a_worker_that_dies_before_it_is_there_again_is_missed(running, tmp_path):
    for worker in WORKERS:
        running.board.enter(worker, 7, "train")
    killed(running, 1)
    assert survivable(running, 1, WORKERS.stop)
    announced(running, Restarts(1, tmp_path, False), 2)
    assert not survivable(running, 1, WORKERS.stop)


def test_without_the_fork_server_nobody_comes_back(running, tmp_path):
    assert not Restarts(1, tmp_path, True).possible(running, killed(running, 2, exitcode=LOST), WORKERS)


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
    assert (entry["rank"], entry["step"], entry["resumed_from"], entry["incarnation"]) == (3, -1, step, 1)


@pytest.mark.parametrize(("done", "step"), [((25, 20), 20), ((20, 19), 10), ((19, 5), 20)])
def test_a_roll_back_goes_to_a_step_that_all_workers_have_recorded_if_there_is_one(running, tmp_path, done, step):
    for rank in SERVERS:
        saved(tmp_path, rank, 10, 20)
    for worker in range(WORKERS.stop):
        running.board.done(worker, done[worker], 0.5, [0.0] * 6)
    assert announced(running, Restarts(1, tmp_path, True), 3).step == step


def test_a_damaged_checkpoint_is_passed_over_and_said_to_be(running, tmp_path):
    for rank in SERVERS:
        saved(tmp_path, rank, 10, 20)
    with open(tmp_path / "2" / f"20{SUFFIX}", "r+b") as file:
        file.truncate(100)
    restarts = Restarts(1, tmp_path, True)
    assert announced(running, restarts, 3).step == 10
    assert restarts.done[0]["damaged"] == [f"20{SUFFIX} is damaged: its checksum does not match"]


@pytest.mark.parametrize(
    ("one", "other", "resumed", "step", "since"),
    [((10, 20), (30,), True, None, 30), ((0,), (), False, 0, 0), ((), (20,), False, 0, 0)],
)
def test_where_nobody_else_goes_back_the_dead_server_takes_its_own_newest(
    running, tmp_path, one, other, resumed, step, since
):
    saved(tmp_path, 2, *one)
    saved(tmp_path, 3, *other)
    restarts = Restarts(1, tmp_path, False)
    found = announced(running, restarts, 3)
    assert (found.resumed, found.step, restarts.done[0]["resumed_from"]) == (resumed, step, since)


def test_every_incarnation_has_a_number_a_folder_and_an_id_of_its_own(running, tmp_path):
    restarts = Restarts(5, tmp_path, True)
    found = [announced(running, restarts, rank) for rank in (2, 3, 2)]
    assert [each.number for each in found] == [1, 2, 3] == [int(each.home.name) for each in found]
    assert len({each.id for each in found} | {JOB}) == 4
    assert all(each.home.stat().st_mode & 0o077 == 0 for each in found)


def test_what_was_reported_in_an_earlier_incarnation_does_not_count(running, tmp_path):
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 0}))
    assert running.all_reported()
    running.board.reincarnate(1)
    assert not running.all_reported()
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 1}))
    assert running.all_reported()


def test_who_is_killed_when_all_is_done_has_not_failed(running):
    for rank in range(4):
        (running.home / f"report-{rank}.json").write_text(json.dumps({"incarnation": 0}))
    killed(running, 3)
    assert running.failed() == [3]
    running.board.dismiss()
    assert running.failed() == []


def test_a_line_says_who_came_back_and_what_was_lost():
    entry = {"rank": 3, "at": 1.25, "step": 17, "resumed_from": 10}
    once = "server rank 3 died at 1.2 s in step 17 and came back from step 10"
    assert restarts_line([entry], 0) == once
    assert restarts_line([entry, entry], 1) == f"{once}; {once}; 1 push lost"
