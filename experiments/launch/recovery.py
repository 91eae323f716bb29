"""Servers that are started again: the agent's part. Which deaths allow it, and what the ranks go on from."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import SETUP, step_name
from common.runtime.checkpoint import intact_versions
from experiments.launch.failure import RunningJob, death
from experiments.launch.incarnation import Incarnation, home_of
from experiments.launch.processes import LOST
from experiments.schema.documents import Death, Restart


@dataclass(slots=True)
class Restarts:
    """How often servers of one job may be started again, and how often they were.

    `rollback`: all ranks go on from the newest checkpoint that every server has; else only the server that died goes
    back, to its own newest.
    """

    left: int
    checkpoints: Path  # a folder a server, by rank
    rollback: bool
    done: list[dict[str, Any]] = field(default_factory=list)  # a restart each, for the summary

    def possible(self, running: RunningJob, failed: Sequence[int], workers: range) -> bool:
        """Whether a job can go on in which the ranks `failed` have ended badly: servers that said nothing.

        Not if a worker has died that the job does without: the next incarnation would wait for it.
        """
        if running.departed:
            return False
        died = [rank for rank in failed if running.complaint(rank) is None and running.ranks[rank].exitcode != LOST]
        return len(failed) == len(died) <= self.left and not set(failed) & set(workers)

    def announce(self, running: RunningJob, failed: Sequence[int], servers: range, job: int) -> None:
        """Begin the next incarnation: tell all ranks to leave theirs, and where to go. The caller starts `failed`."""
        number = running.board.incarnation + 1
        died = {rank: running.board.read(rank) for rank in failed}
        running.board.reincarnate(number)
        for worker in range(servers.start):  # who dies before it is there is waited for: no death to be survived
            running.board.enter(worker, SETUP, "setup")
        at = time.monotonic() - running.began
        whole, damages = {}, []
        for rank in servers:
            whole[rank], damaged = intact_versions(self.checkpoints / str(rank), job, rank)
            damages += damaged
        done = min(running.board.read(worker).steps_done for worker in range(servers.start))
        resumed, step = self._resumption(list(whole.values()), done)
        Incarnation(number, home_of(running.home, number), secrets.randbits(64), resumed, step).write()
        self.left -= len(failed)
        for rank in failed:
            since = step if step is not None else whole[rank][-1]
            entry = {"rank": rank, "step": died[rank].step, "stage": died[rank].stage, "at": at, "resumed_from": since}
            self.done.append({**entry, "incarnation": number, "damaged": damages})

    def _resumption(self, whole: Sequence[Sequence[int]], done: int) -> tuple[bool, int | None]:
        """Whether there is something to resume, and the step to roll back to; None: nobody else goes back.

        Servers save a step when its answers are on their way, so maybe before the last worker has `done` and recorded
        it: then the step is one too late. Only with backups may workers be so late that there is none before.
        """
        if self.rollback:
            common = set.intersection(*map(set, whole))
            common = {step for step in common if step <= done} or common
            return (True, max(common)) if common else (False, 0)
        return (True, None) if all(whole) else (False, 0)


def restarts_line(restarts: Sequence[Restart], lost: int) -> str:
    """`server rank 4 died at 3.2 s in step 120 and came back from step 100`, and so on."""
    pushes = f"; {lost} push{'' if lost == 1 else 'es'} lost" if lost else ""
    line = "; ".join(
        f"server rank {restart.rank} died at {restart.at:.1f} s in {step_name(restart.step)} "
        f"and came back from step {restart.resumed_from}"
        for restart in restarts
    )
    return line + pushes


def survivable(running: RunningJob, rank: int, workers: int) -> bool:
    """Whether the job goes on without `rank`, which has ended badly.

    It must be a worker that said nothing; one that complains has met a mistake, which others will meet too. All workers
    must have their first parameters, for which they meet at a barrier, and another one must live, or have come to its
    end.
    """
    if rank >= workers or running.complaint(rank) is not None:
        return False
    if any(running.board.read(worker).step == SETUP for worker in range(workers)):
        return False
    others = set(range(workers)) - {rank} - running.departed
    return any(running.ranks[worker].exitcode in (None, 0) for worker in others)


def survive(running: RunningJob, workers: int) -> None:
    """Let the job go on without those that have died where it can: notes them and tells the ranks."""
    for rank in running.failed():
        if survivable(running, rank, workers):
            error = death(running, rank, running.ranks[rank].exitcode or 0, workers)
            running.deaths.append({"rank": rank, "step": error.step, "stage": error.stage, "cause": error.cause})
            running.board.depart(rank)


def deaths_line(deaths: Sequence[Death], workers: int) -> str:
    """`worker rank 2 died in step 120 (killed by signal 9): 3 workers from there on`, and so on."""
    return "; ".join(
        f"worker rank {dead.rank} died in {step_name(dead.step)} ({dead.cause}): "
        f"{left} worker{'' if left == 1 else 's'} from there on"
        for left, dead in zip(range(workers - 1, -1, -1), deaths, strict=False)
    )
