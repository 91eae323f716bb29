"""Watch the processes of a job until none is left, and act when one of them fails."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from multiprocessing import connection
from operator import methodcaller
from typing import Any

from common.errors import PeerFailed, RunError
from common.runtime.status_board import Status
from experiments.launch.failure import RunningJob, first_error
from experiments.launch.inheritance import signals_deferred
from experiments.launch.mpirun import RankProcess
from experiments.launch.rank_process import PATIENCE
from experiments.schema.documents import Death

TICK = 0.1  # seconds between two looks at the processes
FAREWELL = 10.0  # seconds that processes get to end after the last rank has reported
GRACE = 2.0  # seconds that processes get to end by themselves once the job has failed

Show = Callable[[Sequence[Status], float], None]  # the workers' status, and the seconds so far


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: each rank's report (None if it left none), and what went wrong first, if anything."""

    reports: list[dict[str, Any] | None]
    error: RunError | None = None
    traceback: str | None = None
    seconds: float = 0.0
    deaths: Sequence[Death] = ()


def supervise(
    job: RunningJob, survive: Callable[[], None], revive: Callable[[Sequence[int]], bool], show: Show
) -> JobOutcome:
    """Return when every process of `job` has ended, by itself or not. Blocks; calls `show` several times a second.

    `survive` lets the job go on without workers that have died, where it can. `revive` starts failed ranks again, where
    it can, and returns whether it did. Else the job ends as soon as it is certain which rank is to blame.
    """
    first: tuple[RunError, str | None] | None = None
    noticed = give_up = inf  # when a failure was seen first, and when the remaining processes are killed
    while alive := [process for process in job.processes if process.exitcode is None]:
        connection.wait([process.sentinel for process in alive], TICK)
        if first is None:
            survive()
            if (failed := job.failed()) and not revive(failed):
                noticed = min(noticed, time.monotonic())
                if job.certain(failed) or time.monotonic() > noticed + PATIENCE:
                    first = error, _ = first_error(job, failed)
                    job.board.abort(
                        PeerFailed(error.cause, rank=error.rank, role=error.role, stage=error.stage, step=error.step)
                    )
                    give_up = time.monotonic() + GRACE
        if give_up == inf and job.all_reported():
            if job.stay:
                job.board.dismiss()
            give_up = time.monotonic() + FAREWELL
        if time.monotonic() > give_up:
            end_all(job.processes)
        left = [rank for rank in range(job.workers) if rank not in job.departed]
        show([job.board.read(rank) for rank in left], time.monotonic() - job.began)
    if first is None:
        survive()
        if failed := job.failed():
            first = first_error(job, failed)
    reports = [job.report(rank) for rank in range(len(job.ranks))]
    blamed, traceback = first or (None, None)
    return JobOutcome(reports, blamed, traceback, time.monotonic() - job.began, job.deaths)


def end_all(processes: Sequence[RankProcess]) -> None:
    """Ask every process that is left to end, then kill it. Blocks for about a second."""
    with signals_deferred():
        for act in (methodcaller("terminate"), methodcaller("kill")):
            left = [process for process in processes if process.exitcode is None]
            for process in left:
                act(process)
            end = time.monotonic() + 0.5
            while left and time.monotonic() < end:
                connection.wait([process.sentinel for process in left], 0.05)
                left = [process for process in left if process.exitcode is None]
        for process in processes:
            process.join(1.0)
