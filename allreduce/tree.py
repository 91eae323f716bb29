"""Binomial tree: reduce to worker 0, then broadcast (Thakur, Rabenseifner, Gropp 2005, §4 and §3).

The reduce has a round for each distance d = 1, 2, 4, … In it, every worker whose number is an odd multiple of d sends
its partial sum to the worker with the number d below and is done. The receivers are the multiples of 2d; they add.

    steps       2⌈log₂n⌉
    bytes sent  M by a leaf; at most ⌈log₂n⌉·M, by worker 0
    time        2⌈log₂n⌉(α + Mβ) + ⌈log₂n⌉·Mγ
    order       by rounds: neighbours, then pairs, then fours; the lower rank first

Few messages, so it wins when x is small. Each message is the whole of x, so it loses when x is large.
"""

from allreduce.broadcast import broadcast, distances, receivers
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def tree(ctx: Context, x: Array) -> None:
    """Sum x over all workers, in place. Blocks. x may still be on loan: call `ctx.settle` before changing it."""
    reduce(ctx, x)
    broadcast(ctx, x)


def reduce(ctx: Context, x: Array) -> None:
    """Leave in worker 0's x the sum over all workers, and partial sums in the others'. Blocks."""
    n, rank = len(ctx.workers), ctx.rank
    for distance in distances(n):
        if rank % (2 * distance):
            ctx.lend(rank - distance, x)  # the broadcast will bring a sum that contains it
            return
        if rank + distance < n:
            ctx.recv_add(rank + distance, x)


class Tree(AllReduce):
    """Binomial reduce and broadcast: 2⌈log₂n⌉ steps, the whole vector in each."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        tree(ctx, x)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        return FLOAT_BYTES * size * ((rank > 0) + receivers(rank, workers))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        return len(distances(workers)) * (2 * link.alpha + nbytes * (2 * link.beta + link.gamma))
