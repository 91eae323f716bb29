"""Who is to blame when a job ends badly: what ranks have said, how they ended, and where the board last saw them."""

from __future__ import annotations

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
from experiments.launch.processes import LOST, RankProcess


@dataclass(slots=True)
class RunningJob:
    """A job on its way. `ranks` has the process of each rank; ranks that share one have the same."""

    home: Path
    board: StatusBoard
    ranks: list[RankProcess] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    stay: bool = False  # whether ranks that are done wait to be dismissed
    deaths: list[dict[str, Any]] = field(default_factory=list)  # that the job has survived, in their order

    @property
    def processes(self) -> list[RankProcess]:
        """Its processes, each once."""
        return list({id(process): process for process in self.ranks}.values())

    @property
    def departed(self) -> set[int]:
        """The ranks that the job goes on without."""
        return {entry["rank"] for entry in self.deaths}

    def report(self, rank: int) -> dict[str, Any] | None:
        """What `rank` has said at its end; None if it has not, or was killed."""
        file = self.home / f"report-{rank}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def complaint(self, rank: int) -> dict[str, Any] | None:
        """What `rank` has said went wrong; None if it has said nothing of the kind."""
        return (self.report(rank) or {}).get("error")

    def all_reported(self) -> bool:
        """Whether every rank has said how it ended, so that there is nothing left to do for any of them."""
        ranks = set(range(len(self.ranks))) - self.departed
        if not all((self.home / f"report-{rank}.json").exists() for rank in ranks):
            return False
        now = self.board.incarnation  # what was said in an earlier one is no longer true
        return not now or all((self.report(rank) or {}).get("incarnation") == now for rank in ranks)

    def failed(self) -> list[int]:
        """The ranks that ended badly: with an exit code, or silently.

        Of those that share a process with an exit code, the ones that have complained; if none has, the worker: what
        ends a process without a word ends it as a whole.
        """
        if self.board.dismissed:  # all is done, and said; a process that was killed since did no harm
            return [rank for rank in range(len(self.ranks)) if self.complaint(rank) is not None]
        codes = {rank: process.exitcode for rank, process in enumerate(self.ranks) if rank not in self.departed}
        return [rank for rank, code in codes.items() if (self._to_blame(rank) if code else self._silent(rank, code))]

    def _silent(self, rank: int, code: int | None) -> bool:
        return code == 0 and self.report(rank) is None

    def _to_blame(self, rank: int) -> bool:
        """Whether `rank` is why its process has ended badly."""
        crew = [other for other, process in enumerate(self.ranks) if process is self.ranks[rank]]
        return rank in ([other for other in crew if self.complaint(other) is not None] or crew[:1])

    def certain(self, failed: Sequence[int]) -> bool:
        """Whether one of `failed` did more than wait in vain, for which another is to blame."""
        complaints = [self.complaint(rank) for rank in failed]
        return any(complaint is None or complaint["type"] != "DeadlineExceeded" for complaint in complaints)


def as_seen_by_others(error: RunError) -> PeerFailed:
    """What the other ranks raise because of `error`."""
    return PeerFailed(error.cause, rank=error.rank, role=error.role, stage=error.stage, step=error.step)


def first_error(running: RunningJob, failed: Sequence[int], processes: int) -> tuple[RunError, str | None]:
    """What went wrong first among ranks that ended badly.

    A death before any report, then the oldest report; but who waited in vain for one that did so too comes last.
    """
    if silent := [rank for rank in failed if running.complaint(rank) is None]:
        rank = min(silent, key=lambda rank: running.ranks[rank].exitcode == LOST)  # of which the launcher is the cause
        return death(running, rank, running.ranks[rank].exitcode or 0, processes), None
    told: list[tuple[bool, float, dict[str, Any]]] = []
    for rank in failed:
        report, complaint = running.report(rank) or {}, running.complaint(rank) or {}
        peers = complaint.get("peers") or ()
        told.append((bool(peers) and set(peers) <= set(failed), report["at"], report))
    first = min(told, key=lambda entry: entry[:2])[2]
    record = dict(first["error"])
    kind = record.pop("type")
    if peers := record.get("peers"):  # who waited in vain too is not whom it waited for
        record["peers"] = [peer for peer in peers if peer not in failed] or peers
        record["cause"] += "".join(f"; {_whereabouts(running, peer, processes)}" for peer in record["peers"])
    error = _TYPES.get(kind, RunError)(**record)
    return error, first["traceback"]


_TYPES: dict[str, type[RunError]] = {cls.__name__: cls for cls in RunError.__subclasses__()}


def _role(rank: int, processes: int) -> str:
    return "worker" if rank < processes else "server"


def death(running: RunningJob, rank: int, exitcode: int, processes: int) -> PeerFailed:
    """The end of a rank that said nothing, and where the board last saw it."""
    cause = f"ended with exit code {exitcode} and said nothing"
    if exitcode == LOST:
        cause = "lost with the fork server or mpirun that started it, which was killed"
    if exitcode < 0:
        with contextlib.suppress(ValueError):
            cause = f"killed by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    status = running.board.read(rank)
    return PeerFailed(cause, rank=rank, role=_role(rank, processes), stage=status.stage, step=status.step)


def _whereabouts(running: RunningJob, rank: int, processes: int) -> str:
    status = running.board.read(rank)
    return f"{_role(rank, processes)} rank {rank} was in stage {status.stage}, {step_name(status.step)}"
