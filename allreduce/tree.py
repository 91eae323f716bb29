"""Binomial tree: reduce to worker 0, then broadcast (Thakur, Rabenseifner, Gropp 2005, §4 and §3).

In the reduce's round of distance d, every worker whose number is an odd multiple of d sends its partial sum to the
one d below and is done; the others, multiples of 2d, add what they receive.

    steps       2⌈log₂n⌉
    bytes sent  M by a leaf; at most ⌈log₂n⌉·M, by worker 0
    time        2⌈log₂n⌉(α + Mβ) + ⌈log₂n⌉·Mγ

Few messages, so it wins when x is small; the whole of x in each of them, so it loses when x is large.
Reduction order: by rounds, lower rank first; fixed.
"""

from __future__ import annotations

from allreduce.broadcast import broadcast, receivers
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import Array


def tree(ctx: Context, x: Array) -> None:
    """Sum x over all ranks, in place. Blocks. x may still be on loan: call `ctx.settle` before changing it."""
    reduce(ctx, x)
    broadcast(ctx, x)


def reduce(ctx: Context, x: Array) -> None:
    """Leave in rank 0's x the sum over all ranks, and partial sums in the others'. Blocks."""
    n, rank = ctx.size, ctx.rank
    distance = 1
    while distance < n:
        if rank % (2 * distance):
            ctx.lend(rank - distance, x)  # the broadcast will bring a sum that contains it
            return
        if rank + distance < n:
            ctx.recv_add(rank + distance, x)
        distance *= 2


class Tree(AllReduce):
    """Binomial reduce and broadcast: 2⌈log₂n⌉ steps, the whole vector in each."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        tree(ctx, x)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        return size * itemsize * ((rank > 0) + receivers(rank, workers))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        rounds = (workers - 1).bit_length()
        return 2 * rounds * (link.alpha + nbytes * link.beta) + rounds * nbytes * link.gamma
