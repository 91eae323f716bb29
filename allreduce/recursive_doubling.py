"""Recursive doubling (Thakur, Rabenseifner, Gropp 2005): pairs of workers exchange all of x, then pairs of pairs, …

Before the round of distance d, each block of d workers holds the sum over the block. In that round worker r exchanges
its sum with worker r XOR d, so the blocks double.

    steps       log₂n
    bytes sent  log₂n·M by every worker
    time        log₂n·(α + Mβ + Mγ)
    order       by rounds: neighbours, then pairs, then fours. One partner adds a + b, the other b + a, which are the
                same bits: all replicas are equal

The fewest steps of all, each with the whole of x: the first choice for a small x. If n is no power of two, read p, the
largest power of two below it, for n, and see `fold` for what is added; the folded workers are added first.
"""

from allreduce.broadcast import distances
from allreduce.fold import fold, fold_bytes, fold_seconds, largest_power_of_two
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def recursive_doubling(ctx: Context, x: Array) -> None:
    """Sum x over all workers, a power of two, in place. Blocks."""
    for distance in distances(len(ctx.workers)):
        partner = ctx.rank ^ distance
        ctx.send(partner, x)  # a copy: both partners add to their x in this very round
        ctx.recv_add(partner, x)


class RecursiveDoubling(AllReduce):
    """Pairs, then pairs of pairs exchange the whole vector: the fewest steps, for small ones."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        fold(ctx, x, recursive_doubling)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        nbytes = FLOAT_BYTES * size
        return fold_bytes(rank, workers, nbytes, lambda p: len(distances(p)) * nbytes)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        step = link.alpha + nbytes * (link.beta + link.gamma)
        return len(distances(largest_power_of_two(workers))) * step + fold_seconds(workers, nbytes, link)
