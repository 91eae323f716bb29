"""Go on after a death: start servers again from a checkpoint, in a new incarnation, or do without workers."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import SETUP
from common.runtime.checkpoint import intact_versions
from experiments.launch.failure import RunningJob, death
from experiments.launch.incarnation import Incarnation, home_of
from experiments.launch.mpirun import LOST
from experiments.schema.documents import Death, Restart


@dataclass(slots=True)
class Restarts:
    """How often servers may be started again, and were; `rollback`: all ranks go back to a common checkpoint."""

    left: int
    checkpoints: Path  # a folder a server, named after its rank
    rollback: bool
    done: list[Restart] = field(default_factory=list)

    def possible(self, job: RunningJob, failed: Sequence[int]) -> bool:
        """Return whether the job can go on after `failed` ended badly: all are servers and reported nothing."""
        if job.departed or min(failed) < job.workers or len(failed) > self.left:
            return False
        return all(job.reported_error(rank) is None and job.ranks[rank].exitcode != LOST for rank in failed)

    def announce(self, job: RunningJob, failed: Sequence[int], job_id: int) -> None:
        """Begin the next incarnation: tell all ranks to meet there. The caller starts `failed` again."""
        number, at = job.board.incarnation + 1, time.monotonic() - job.began
        died = [(rank, job.board.read(rank)) for rank in failed]
        job.board.reincarnate(number)
        for worker in range(job.workers):  # the death of a worker that has not joined yet is not survivable
            job.board.enter(worker, SETUP, "setup")
        whole, damages = {}, []
        for rank in range(job.workers, len(job.ranks)):
            whole[rank], damaged = intact_versions(self.checkpoints / str(rank), job_id, rank)
            damages += damaged
        steps_done = min(job.board.read(worker).steps_done for worker in range(job.workers))
        resumed, step = self._resumption(list(whole.values()), steps_done)
        Incarnation(number, home_of(job.home, number), secrets.randbits(64), resumed, step).write()
        self.left -= len(failed)
        self.done += [
            Restart(
                rank=rank,
                step=status.step,
                stage=status.stage,
                at=at,
                resumed_from=whole[rank][-1] if step is None else step,
                incarnation=number,
                damaged=tuple(damages),
            )
            for rank, status in died
        ]

    def _resumption(self, whole: Sequence[Sequence[int]], steps_done: int) -> tuple[bool, int | None]:
        """Return whether ranks resume from checkpoints, and the step that all roll back to; None: nobody else does.

        A server saves a step while its answers are on their way, so perhaps before the last worker has recorded that
        step. Then the checkpoint is one step too late. Only with backup workers can an earlier one be missing.
        """
        if self.rollback:
            common = set.intersection(*map(set, whole))
            common = {step for step in common if step <= steps_done} or common
            return (True, max(common)) if common else (False, 0)
        return (True, None) if all(whole) else (False, 0)


def survivable(job: RunningJob, rank: int) -> bool:
    """Return whether the job can go on without `rank`, which has ended badly.

    It can if `rank` is a worker that reported no error: an error is a mistake that other workers would meet too. All
    workers must have left the set-up, in which they meet at a barrier, and another worker must run or have ended well.
    """
    if rank >= job.workers or job.reported_error(rank) is not None:
        return False
    if any(job.board.read(worker).step == SETUP for worker in range(job.workers)):
        return False
    others = set(range(job.workers)) - {rank} - job.departed
    return any(job.ranks[worker].exitcode in (None, 0) for worker in others)


def survive(job: RunningJob) -> None:
    """Let the job go on without workers that have died, where it can: note each death and tell all ranks."""
    for rank in job.failed():
        if survivable(job, rank):
            error = death(job, rank)
            job.deaths.append(Death(rank=rank, step=error.step, stage=error.stage, cause=error.cause))
            job.board.depart(rank)
