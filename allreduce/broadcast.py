"""Binomial-tree broadcast (Thakur, Rabenseifner, Gropp 2005, §3): the number of workers that hold x doubles each round.

steps       ⌈log₂n⌉
bytes sent  at most ⌈log₂n⌉·M, by worker 0; nothing by half of the workers
time        ⌈log₂n⌉(α + Mβ)
"""

from common.context import Context
from common.types import Array


def broadcast(ctx: Context, x: Array) -> None:
    """Give every worker the x of worker 0, in place. Blocks. x may still be on loan afterwards: see `ctx.settle`."""
    n, rank = len(ctx.workers), ctx.rank
    for distance in distances(n):
        if rank < distance and rank + distance < n:
            ctx.lend(rank + distance, x)
        elif distance <= rank < 2 * distance:
            ctx.recv_into(rank - distance, x)


def receivers(rank: int, n: int) -> int:
    """Return how many workers get x from `rank`."""
    return sum(rank < distance and rank + distance < n for distance in distances(n))


def distances(n: int) -> list[int]:
    """Return 1, 2, 4, … below n: how far apart partners are in the rounds of an algorithm over n workers."""
    return [1 << k for k in range((n - 1).bit_length())]
