"""Which ranks share a process."""

from __future__ import annotations

from common.runtime.job import COLOCATED


def crews(workers: int, servers: int, placement: str) -> list[list[int]]:
    """The ranks of each process, ascending: one each where servers are `dedicated`.

    Where they are `colocated`, server i is with worker i mod `workers`, whose process it is.
    """
    if placement != COLOCATED:
        return [[rank] for rank in range(workers + servers)]
    return [[worker, *range(workers + worker, workers + servers, workers)] for worker in range(workers)]


def crew_of(rank: int, workers: int, servers: int, placement: str) -> list[int]:
    """The ranks that share the process of `rank`, itself included."""
    return next(crew for crew in crews(workers, servers, placement) if rank in crew)
