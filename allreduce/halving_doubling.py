"""Recursive halving, then recursive doubling (Rabenseifner 2004; Thakur, Rabenseifner, Gropp 2005).

x is cut into n chunks. In the *reduce-scatter*, partners at distance n/2, n/4, … 1 split the chunks that they still
share: each sends the half that the other keeps and adds the half that comes. At the end worker r holds the sum of chunk
r. In the *all-gather*, partners at distance 1, 2, … n/2 exchange their complete chunks.

    steps       2log₂n
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2log₂n·α + 2(n-1)/n·Mβ + (n-1)/n·Mγ
    order       chunk c at worker c, by rounds: the partner at distance n/2, n/4, … 1

The bytes of a ring in logarithmically many steps. If n is no power of two, read p, the largest power of two below it,
for n, and see `fold` for what is added; the folded workers are added first.
"""

from allreduce.broadcast import distances
from allreduce.chunks import bounds
from allreduce.fold import fold, fold_bytes, fold_seconds, largest_power_of_two
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def halving_doubling(ctx: Context, x: Array) -> None:
    """Sum x over all workers, a power of two, in place. Blocks. x may still be on loan: `settle` before changing it.

    A part lent in the reduce-scatter is overwritten in the all-gather by the sum that the partner made of it: this
    proves that it was read.
    """
    n, rank = len(ctx.workers), ctx.rank
    edge = bounds(x.size, n)
    for distance in reversed(distances(n)):  # reduce-scatter
        partner = rank ^ distance
        ctx.lend(partner, x[block(edge, partner, distance)])
        ctx.recv_add(partner, x[block(edge, rank, distance)])
    for distance in distances(n):  # all-gather
        partner = rank ^ distance
        ctx.lend(partner, x[block(edge, rank, distance)])
        ctx.recv_into(partner, x[block(edge, partner, distance)])


def block(edge: list[int], rank: int, distance: int) -> slice:
    """Return the aligned run of `distance` chunks that contains chunk `rank`, by the chunks' boundaries."""
    first = rank - rank % distance
    return slice(edge[first], edge[first + distance])


class HalvingDoubling(AllReduce):
    """Halves, quarters, … summed up and gathered again: the fewest bytes in 2log₂n steps."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        fold(ctx, x, halving_doubling)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        def own(p: int) -> int:
            edge = bounds(size, p)
            sent = [block(edge, peer, distance) for distance in distances(p) for peer in (rank, rank ^ distance)]
            return FLOAT_BYTES * sum(len(range(size)[part]) for part in sent)

        return fold_bytes(rank, workers, FLOAT_BYTES * size, own)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        p = largest_power_of_two(workers)
        share = (p - 1) / p
        core = 2 * len(distances(p)) * link.alpha + share * nbytes * (2 * link.beta + link.gamma)
        return core + fold_seconds(workers, nbytes, link)
