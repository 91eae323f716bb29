"""Watch the processes of a job until none is left, and act when one of them fails."""

from __future__ import annotations

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
from experiments.launch.processes import RankProcess
from experiments.launch.rank_threads import PATIENCE
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


class Supervisor:
    """Watches a job with `workers` worker ranks.

    `survive` lets the job go on without workers that have died, where it can. `revive` starts failed ranks again, where
    it can, and returns whether it did.
    """

    def __init__(
        self, job: RunningJob, workers: int, survive: Callable[[], None], revive: Callable[[Sequence[int]], bool]
    ) -> None:
        self._job, self._workers, self._survive, self._revive = job, workers, survive, revive
        self._error: RunError | None = None
        self._traceback: str | None = None
        self._noticed = inf  # when a failure was seen first
        self._give_up = inf  # when the remaining processes are killed

    def until_ended(self, show: Show) -> JobOutcome:
        """Return when every process has ended, by itself or not. Blocks; calls `show` several times a second."""
        job = self._job
        while alive := [process for process in job.processes if process.exitcode is None]:
            connection.wait([process.sentinel for process in alive], TICK)
            self._look_for_failures()
            self._look_for_the_end()
            if time.monotonic() > self._give_up:
                end_all(job.processes)
            left = [rank for rank in range(self._workers) if rank not in job.departed]
            show([job.board.read(rank) for rank in left], time.monotonic() - job.began)
        if self._error is None:
            self._survive()
            if failed := job.failed():
                self._error, self._traceback = first_error(job, failed, self._workers)
        reports = [job.report(rank) for rank in range(len(job.ranks))]
        return JobOutcome(reports, self._error, self._traceback, time.monotonic() - job.began, job.deaths)

    def _look_for_failures(self) -> None:
        """End the job if ranks have failed, nothing helps, and it is certain which rank is to blame."""
        if self._error is not None:
            return
        job = self._job
        self._survive()
        if not (failed := job.failed()) or self._revive(failed):
            return
        self._noticed = min(self._noticed, time.monotonic())
        if job.certain(failed) or time.monotonic() > self._noticed + PATIENCE:
            error, self._traceback = first_error(job, failed, self._workers)
            self._error = error
            job.board.abort(
                PeerFailed(error.cause, rank=error.rank, role=error.role, stage=error.stage, step=error.step)
            )
            self._give_up = time.monotonic() + GRACE

    def _look_for_the_end(self) -> None:
        """Dismiss the ranks when all of them have reported."""
        if self._give_up == inf and self._job.all_reported():
            if self._job.stay:
                self._job.board.dismiss()
            self._give_up = time.monotonic() + FAREWELL


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
