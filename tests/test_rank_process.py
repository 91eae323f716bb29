"""The life of a rank process. Its ranks end as one: the first failure is reported before the others learn of it."""

import os
import threading

import pytest

from common.errors import DeadlineExceeded, PeerFailed, RunError
from common.runtime.status_board import StatusBoard
from experiments.launch import job_folder, rank_process
from experiments.launch.rank_process import ColocatedRanks


def test_a_rank_whose_agent_is_gone_removes_the_shared_memory(tmp_path, monkeypatch):
    """The lock is free: the agent is gone."""
    memory, home = tmp_path / "shm", tmp_path / "syncbench-1" / "job-1"
    (memory / "syncbench-mpi-1").mkdir(parents=True)
    home.mkdir(parents=True)
    (home / job_folder.SHARED_NOTE).write_text(str(memory / "syncbench-mpi-1"))
    (home.parent / "agent.lock").touch()
    monkeypatch.setattr(job_folder, "SHARED_MEMORY", memory)
    ended = threading.Event()
    monkeypatch.setattr(rank_process.os, "_exit", lambda code: ended.set())
    rank_process.die_with_the_agent(home)
    assert ended.wait(30)
    assert list(memory.iterdir()) == []
    assert not home.parent.exists()


# --- ranks that share a process ---


@pytest.fixture
def board(tmp_path):
    made = StatusBoard(tmp_path / "board", 3, create=True)
    yield made
    made.close()


@pytest.fixture
def last_resort(monkeypatch):
    """The exit codes with which the process would have ended; nothing is waited for."""
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(rank_process, "LEAVE", 0.001)
    monkeypatch.setattr(rank_process, "PATIENCE", 0.001)
    return codes


def error_of(rank, cause="a bug"):
    return RunError(cause, rank=rank, role="server" if rank else "worker", stage="synchronize", step=3)


def waited(rank):
    where = {"rank": rank, "role": "worker", "stage": "synchronize", "step": 3}
    return DeadlineExceeded("waited 1 s for rank 7", peers=[7], **where)


def settle():
    """Let the timers run out."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()


def test_every_rank_lives_in_a_thread_of_its_own_the_first_in_the_main_one(board):
    seen = {}
    meet = threading.Barrier(3, timeout=10)

    def live(rank):
        seen[rank] = threading.current_thread()
        meet.wait()

    assert ColocatedRanks(board, [0, 1, 2]).run(live)
    assert seen[0] is threading.current_thread()
    assert [seen[1].name, seen[2].name] == ["rank-1", "rank-2"]


def test_a_rank_that_is_alone_in_its_process_only_reports(board, last_resort):
    told = []
    crew = ColocatedRanks(board, [0])
    assert not crew.run(lambda rank: crew.fails(error_of(0).record(), lambda: told.append(rank)))
    settle()
    assert (told, board.culprit(), last_resort) == ([0], None, [])


def test_the_others_learn_of_a_failure_once_it_is_reported_and_then_the_process_ends(board, last_resort):
    told = []
    crew = ColocatedRanks(board, [0, 1, 2])
    crew.fails(error_of(1).record(), lambda: told.append(board.culprit()))
    assert told == [None]
    heard = board.culprit()
    assert isinstance(heard, PeerFailed)
    assert str(heard) == str(error_of(1))
    settle()
    assert last_resort == [1]


def test_a_rank_that_fails_because_of_another_reports_nothing(board, last_resort):
    told = []
    crew = ColocatedRanks(board, [0, 1, 2])
    crew.fails(error_of(1).record(), lambda: told.append(1))
    crew.fails(board.culprit().record(), lambda: told.append("an echo"))
    crew.fails(error_of(2, "another bug").record(), lambda: told.append(2))
    assert told == [1, 2]
    assert str(board.culprit()) == str(error_of(1))
    settle()


def test_a_rank_that_waits_in_vain_lets_the_others_report_first(board, last_resort, monkeypatch):
    monkeypatch.setattr(rank_process, "PATIENCE", 0.05)
    crew = ColocatedRanks(board, [0, 1])
    crew.fails(waited(0).record(), lambda: None)
    assert board.culprit() is None
    settle()
    assert str(board.culprit()) == str(waited(0))
    assert last_resort == [1]


def test_ranks_of_which_one_could_not_report_have_not_ended_well(board, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def live(rank):
        if rank:
            raise OSError("the disk is full")

    assert not ColocatedRanks(board, [0, 1]).run(live)
