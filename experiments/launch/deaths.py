"""Workers that die and are not missed: which deaths a job survives, and what its result says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import SETUP, step_name
from experiments.launch.failure import Running, death


def survivable(running: Running, rank: int, workers: int) -> bool:
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


def survive(running: Running, workers: int) -> None:
    """Let the job go on without those that have died where it can: notes them and tells the ranks."""
    for rank in running.failed():
        if survivable(running, rank, workers):
            error = death(running, rank, running.ranks[rank].exitcode or 0, workers)
            running.deaths.append({"rank": rank, "step": error.step, "stage": error.stage, "cause": error.cause})
            running.board.depart(rank)


def deaths_line(deaths: Sequence[Mapping[str, Any]], workers: int) -> str:
    """`worker rank 2 died in step 120 (killed by signal 9): 3 workers from there on`, and so on."""
    return "; ".join(
        f"worker rank {entry['rank']} died in {step_name(entry['step'])} ({entry['cause']}): "
        f"{left} worker{'' if left == 1 else 's'} from there on"
        for left, entry in zip(range(workers - 1, -1, -1), deaths, strict=False)
    )
