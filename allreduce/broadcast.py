"""Binomial-tree broadcast (Thakur, Rabenseifner, Gropp 2005, §3): the holders of x double every round."""

from __future__ import annotations

from common.context import Context
from common.types import Array


def broadcast(ctx: Context, x: Array) -> None:
    """Give every rank the x of rank 0, in place: ⌈log₂n⌉ rounds, at most ⌈log₂n⌉·M bytes sent by a rank. Blocks.

    Before the round of distance d, exactly the ranks below d hold x. x is lent: call `ctx.settle` before changing it.
    """
    n, rank = len(ctx.workers), ctx.rank
    distance = 1
    while distance < n:
        if rank < distance and rank + distance < n:
            ctx.lend(rank + distance, x)
        elif distance <= rank < 2 * distance:
            ctx.recv_into(rank - distance, x)
        distance *= 2


def receivers(rank: int, n: int) -> int:
    """To how many ranks `broadcast` sends x from `rank`."""
    rounds = (n - 1).bit_length()
    return sum(rank < 1 << k and rank + (1 << k) < n for k in range(rounds))
