"""The right rank is blamed, in whatever order ranks report."""

import json
from types import SimpleNamespace

import pytest

from common.errors import DeadlineExceeded, PeerFailed, RunError
from common.runtime.status_board import StatusBoard
from experiments.launch.failure import RunningJob, first_error
from experiments.launch.mpirun import LOST


@pytest.fixture
def job(tmp_path):
    """A job of three workers and a server; `ends(rank, exitcode, report)` says how a rank has ended."""
    board = StatusBoard(tmp_path / "board", 4, create=True)
    running = RunningJob(tmp_path, board, 3, [SimpleNamespace(exitcode=None) for _ in range(4)])

    def ends(rank, exitcode, report=None):
        running.ranks[rank].exitcode = exitcode
        if report is not None:
            (tmp_path / f"report-{rank}.json").write_text(json.dumps(report))

    def blamed():
        return first_error(running, running.failed())

    yield SimpleNamespace(board=board, running=running, ends=ends, blamed=blamed)
    board.close()


def told(error, at, traceback=None, **changes):
    """The report of a rank that ended with this error."""
    return {"error": {**error.record(), **changes}, "at": at, "traceback": traceback}


def waited(rank, peer):
    return DeadlineExceeded(
        f"waited 2 s for rank {peer}", rank=rank, role="worker", stage="synchronize", step=7, peers=[peer]
    )


def test_a_killed_rank_is_blamed_by_where_the_board_last_saw_it(job):
    job.board.enter(3, 7, "update")
    job.ends(3, -9)
    error, trace = job.blamed()
    assert error.record() == {
        "type": "PeerFailed",
        "rank": 3,
        "role": "server",
        "stage": "update",
        "step": 7,
        "cause": "killed by signal 9 (SIGKILL)",
    }
    assert trace is None


@pytest.mark.parametrize("code", [0, 3])
def test_a_rank_that_ends_without_a_report_has_failed_with_any_exit_code(job, code):
    job.ends(1, code)
    assert job.running.failed() == [1]
    assert str(job.blamed()[0]) == f"worker rank 1, stage setup, setup: ended with exit code {code} and said nothing"


def test_a_rank_that_ends_well_has_not_failed(job):
    job.ends(1, 0, {"bytes_to": {}, "at": 1.0})
    assert job.running.failed() == []


def test_a_death_comes_before_the_reports_of_others_about_it(job):
    job.ends(0, 1, told(waited(0, 2), at=1.0))
    job.ends(2, -11)
    assert (job.blamed()[0].rank, job.blamed()[0].cause) == (2, "killed by signal 11 (SIGSEGV)")


def test_ranks_that_went_with_their_launcher_are_not_why_another_died(job):
    for rank in (0, 1, 3):
        job.ends(rank, LOST)
    assert "lost with the fork server or mpirun that started it" in job.blamed()[0].cause
    job.ends(2, -9)
    assert (job.blamed()[0].rank, job.blamed()[0].cause) == (2, "killed by signal 9 (SIGKILL)")


def test_of_the_peers_waited_for_only_those_that_did_not_fail_are_named(job):
    everyone = {rank: [peer for peer in range(3) if peer != rank] for rank in (0, 1)}
    for rank, peers in everyone.items():
        error = DeadlineExceeded("waited 2 s", rank=rank, role="worker", stage="synchronize", step=7, peers=peers)
        job.ends(rank, 1, told(error, at=1.0 + rank))
    job.board.enter(2, 6, "train")
    error, _ = job.blamed()
    assert (error.rank, error.peers) == (0, (2,))
    assert error.cause == "waited 2 s; worker rank 2 was in stage train, step 6"


def test_the_first_error_counts_and_brings_its_traceback(job):
    bug = RunError("ZeroDivisionError: a bug", rank=2, role="worker", stage="train", step=3)
    heard = PeerFailed("ZeroDivisionError: a bug", rank=2, role="worker", stage="train", step=3)
    job.ends(0, 1, told(heard, at=2.0))
    job.ends(2, 1, told(bug, at=1.0, traceback="the traceback", type="ZeroDivisionError"))
    error, trace = job.blamed()
    assert (error.record(), trace) == (bug.record(), "the traceback")


def test_a_wait_in_vain_names_the_stage_and_step_of_the_peer(job):
    job.board.enter(2, 6, "train")
    job.ends(0, 1, told(waited(0, 2), at=1.0))
    error, _ = job.blamed()
    assert isinstance(error, DeadlineExceeded)
    assert error.peers == (2,)
    assert error.cause == "waited 2 s for rank 2; worker rank 2 was in stage train, step 6"


def test_the_end_of_a_chain_of_waits_is_blamed_not_the_first_whose_deadline_passed(job):
    job.ends(0, 1, told(waited(0, 1), at=1.0))
    job.ends(1, 1, told(waited(1, 2), at=1.1))
    error, _ = job.blamed()
    assert (error.rank, error.peers) == (1, (2,))


def test_where_all_wait_for_each_other_the_first_counts(job):
    for rank in (2, 0, 1):
        job.ends(rank, 1, told(waited(rank, (rank + 1) % 3), at=float(rank != 2)))
    assert job.blamed()[0].rank == 2


def test_blame_is_uncertain_only_while_all_failures_are_waits(job):
    job.ends(0, 1, told(waited(0, 1), at=1.0))
    assert not job.running.certain([0])
    job.ends(1, 1, told(RunError("a bug", rank=1, role="worker", stage="train", step=3), at=2.0))
    assert job.running.certain([0, 1])
    job.ends(2, -9)
    assert job.running.certain([0, 2])


# --- ranks that share a process ---


@pytest.fixture
def colocated(job):
    """Server 3 lives in the process of worker 0."""
    job.running.ranks[3] = job.running.ranks[0]
    return job


def test_a_killed_process_is_the_death_of_its_worker(colocated):
    colocated.ends(0, -9)
    assert colocated.running.failed() == [0]
    assert str(colocated.blamed()[0]) == "worker rank 0, stage setup, setup: killed by signal 9 (SIGKILL)"


def test_a_rank_that_ends_with_its_process_is_not_blamed(colocated):
    bug = RunError("ZeroDivisionError: a bug", rank=3, role="server", stage="update", step=3)
    colocated.ends(3, 1, told(bug, at=1.0))
    assert colocated.running.failed() == [3]
    assert colocated.blamed()[0].record() == bug.record()


def test_a_server_that_ended_well_is_not_blamed_for_its_worker(colocated):
    bug = RunError("a bug", rank=0, role="worker", stage="train", step=3)
    colocated.ends(3, 1, {"bytes_to": {}, "at": 0.5})
    colocated.ends(0, 1, told(bug, at=1.0))
    assert colocated.running.failed() == [0]


def test_a_process_that_ends_well_without_a_report_of_its_server_has_lost_it(colocated):
    colocated.ends(0, 0, {"bytes_to": {}, "at": 1.0})
    assert colocated.running.failed() == [3]


def test_processes_are_counted_once(colocated):
    assert len(colocated.running.processes) == 3
