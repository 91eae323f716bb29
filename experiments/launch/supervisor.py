"""The agent's eyes: what it does about ranks that end, until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from multiprocessing import connection
from operator import methodcaller
from typing import Any

from common.errors import RunError
from common.runtime.status_board import Status
from experiments.launch.failure import RunningJob, as_seen_by_others, first_error
from experiments.launch.inheritance import signals_deferred
from experiments.launch.processes import RankProcess
from experiments.launch.rank_threads import PATIENCE

TICK = 0.1  # seconds between two looks at the ranks
FAREWELL = 10.0  # seconds that ranks get to end after the last of them has reported
GRACE = 2.0  # seconds that ranks get to end by themselves once the job is over

Show = Callable[[Sequence[Status], float], None]  # the workers' status, and the seconds so far


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: each rank's report (None if it left none), and what went wrong first, if anything."""

    reports: list[dict[str, Any] | None]
    error: RunError | None = None
    traceback: str | None = None
    seconds: float = 0.0
    deaths: Sequence[dict[str, Any]] = ()  # of workers that the job went on without: rank, step, stage, cause


class Supervisor:
    """Of a job with `workers` worker ranks. `tend` lets it go on without workers that have died, where it can; `revive`
    starts ranks again that have failed, where it can, and says whether it did.
    """

    def __init__(
        self, running: RunningJob, workers: int, tend: Callable[[], None], revive: Callable[[Sequence[int]], bool]
    ) -> None:
        self._running, self._workers, self._tend, self._revive = running, workers, tend, revive
        self._error: RunError | None = None
        self._traceback: str | None = None
        self._noticed = self._give_up = inf  # when a failure was seen first; when who is still there is ended

    def until_ended(self, show: Show) -> JobOutcome:
        """Blocks until every process has ended, of itself or not; `show` is called several times a second."""
        running = self._running
        while alive := [process for process in running.processes if process.exitcode is None]:
            connection.wait([process.sentinel for process in alive], TICK)
            self._look()
            self._dismiss()
            if time.monotonic() > self._give_up:
                end_all(running.processes)
            left = [rank for rank in range(self._workers) if rank not in running.departed]
            show([running.board.read(rank) for rank in left], time.monotonic() - running.began)
        if self._error is None:
            self._tend()
            if failed := running.failed():
                self._error, self._traceback = first_error(running, failed, self._workers)
        reports = [running.report(rank) for rank in range(len(running.ranks))]
        return JobOutcome(reports, self._error, self._traceback, time.monotonic() - running.began, running.deaths)

    def _look(self) -> None:
        """Do something about ranks that have failed: if nothing helps, the job is over, once it is sure why."""
        if self._error is not None:
            return
        running = self._running
        self._tend()
        if not (failed := running.failed()) or self._revive(failed):
            return
        self._noticed = min(self._noticed, time.monotonic())
        if running.certain(failed) or time.monotonic() > self._noticed + PATIENCE:
            self._error, self._traceback = first_error(running, failed, self._workers)
            running.board.abort(as_seen_by_others(self._error))
            self._give_up = time.monotonic() + GRACE

    def _dismiss(self) -> None:
        """When all have reported, nobody is needed any more."""
        if self._give_up == inf and self._running.all_reported():
            if self._running.stay:
                self._running.board.dismiss()
            self._give_up = time.monotonic() + FAREWELL


def end_all(ranks: Sequence[RankProcess]) -> None:
    """End every rank that is still there: ask, then kill. Returns within about a second."""
    with signals_deferred():
        for act in (methodcaller("terminate"), methodcaller("kill")):
            left = [rank for rank in ranks if rank.exitcode is None]
            for rank in left:
                act(rank)
            end = time.monotonic() + 0.5
            while left and time.monotonic() < end:
                connection.wait([rank.sentinel for rank in left], 0.05)
                left = [rank for rank in left if rank.exitcode is None]
        for rank in ranks:
            rank.join(1.0)
