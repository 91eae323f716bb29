"""Find the rank that is to blame when a job ends badly: by reports, exit codes, and where the status board saw it."""

import contextlib
import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import PeerFailed, RunError, step_name
from common.runtime.status_board import StatusBoard
from experiments.launch.mpirun import LOST, VANISHED, RankProcess
from experiments.schema.documents import Death

_TYPES: dict[str, type[RunError]] = {cls.__name__: cls for cls in RunError.__subclasses__()}


@dataclass(slots=True)
class RunningJob:
    """A job whose ranks have started. `ranks` has the process of each rank; ranks of one process share an entry."""

    home: Path
    board: StatusBoard
    workers: int  # worker ranks: the first ones
    ranks: list[RankProcess] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    stay: bool = False  # ranks that are done wait until the agent dismisses them
    deaths: list[Death] = field(default_factory=list)  # in order

    @property
    def processes(self) -> list[RankProcess]:
        """The distinct processes of the job."""
        return list({id(process): process for process in self.ranks}.values())

    @property
    def departed(self) -> set[int]:
        """The ranks that the job goes on without."""
        return {death.rank for death in self.deaths}

    def report(self, rank: int) -> dict[str, Any] | None:
        """Return the report of `rank`; None if it has left none."""
        file = self.home / f"report-{rank}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def reported_error(self, rank: int) -> dict[str, Any] | None:
        """Return the error in the report of `rank`, if it has left one."""
        return (self.report(rank) or {}).get("error")

    def all_reported(self) -> bool:
        """Return whether every rank has left a report in the present incarnation of the job."""
        now = self.board.incarnation
        reports = (self.report(rank) for rank in range(len(self.ranks)) if rank not in self.departed)
        return all(report is not None and (not now or report.get("incarnation") == now) for report in reports)

    def failed(self) -> list[int]:
        """Return the ranks that ended badly: with an exit code, or without a report.

        Of the ranks of one process with an exit code, these are the ranks that reported an error. If none of them did,
        it is the worker alone, since a process that dies without a report dies as a whole.
        """
        if self.board.dismissed:  # all ranks are done; a process that was killed since did no harm
            return [rank for rank in range(len(self.ranks)) if self.reported_error(rank) is not None]
        failed: set[int] = set()
        for process in self.processes:
            if (code := process.exitcode) is not None:
                together = [rank for rank, other in enumerate(self.ranks) if other is process]
                if code:
                    failed |= {rank for rank in together if self.reported_error(rank) is not None} or {together[0]}
                else:
                    failed |= {rank for rank in together if self.report(rank) is None}
        return sorted(failed - self.departed)

    def certain(self, failed: Sequence[int]) -> bool:
        """Return whether one of `failed` did more than wait in vain, for which another rank is to blame."""
        errors = [self.reported_error(rank) for rank in failed]
        return any(error is None or error["type"] != "DeadlineExceeded" for error in errors)


def first_error(job: RunningJob, failed: Sequence[int]) -> tuple[RunError, str | None]:
    """Return what went wrong first among the ranks that ended badly, and its traceback if one was reported.

    A death without a report comes before all reports, and the oldest report before the others. But a rank that waited
    in vain for another rank that waited in vain comes last.
    """
    if silent := [rank for rank in failed if job.reported_error(rank) is None]:
        rank = min(silent, key=lambda rank: job.ranks[rank].exitcode == LOST)  # others were lost because of it
        return death(job, rank), None

    def order(report: dict[str, Any]) -> tuple[bool, float]:
        peers = set(report["error"].get("peers") or ())
        return bool(peers) and peers <= set(failed), report["at"]

    first = min((job.report(rank) or {} for rank in failed), key=order)
    record = first["error"]
    error_type = _TYPES.get(record.pop("type"), RunError)
    if peers := record.get("peers"):
        record["peers"] = [peer for peer in peers if peer not in failed] or peers
        for peer in record["peers"]:
            status = job.board.read(peer)
            record["cause"] += f"; {_role(job, peer)} rank {peer} was in stage {status.stage}, {step_name(status.step)}"
    return error_type(**record), first["traceback"]


def death(job: RunningJob, rank: int) -> PeerFailed:
    """Return the error of a rank that ended without a report, in the stage and step where the board last saw it."""
    code = job.ranks[rank].exitcode or 0
    known = {
        LOST: "lost with the fork server or mpirun that started it, which was killed",
        VANISHED: "killed by signal 9 (SIGKILL), or crashed in native code: mpirun does not tell which",
    }
    cause = known.get(code, f"ended with exit code {code} and said nothing")
    if code < 0:
        with contextlib.suppress(ValueError):
            cause = f"killed by signal {-code} ({signal.Signals(-code).name})"
    status = job.board.read(rank)
    return PeerFailed(cause, rank=rank, role=_role(job, rank), stage=status.stage, step=status.step)


def _role(job: RunningJob, rank: int) -> str:
    return "worker" if rank < job.workers else "server"
