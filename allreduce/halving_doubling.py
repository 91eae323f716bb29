"""Recursive halving, then recursive doubling (Rabenseifner 2004; Thakur, Rabenseifner, Gropp 2005).

x is cut into n chunks. In the *reduce-scatter*, partners at distance n/2, n/4, … 1 split the chunks that they still
share: each gives away the half that the other keeps. So rank r ends with the sum of chunk r. In the *all-gather*, they
exchange what is finished at distance 1, 2, … n/2.

    steps       2log₂n
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2log₂n·α + 2(n-1)/n·Mβ + (n-1)/n·Mγ

The bytes of a ring in logarithmically many steps. If n is no power of two, the ranks from the largest power of two p
on are folded in: p for n, and what `fold` adds.
Reduction order: extra ranks first, to rank - p; then, of chunk c at rank c, by rounds: distance n/2, n/4, … 1.
"""

from __future__ import annotations

from collections.abc import Callable

from allreduce.chunks import bounds
from allreduce.fold import fold, fold_bytes, fold_seconds, stay
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import Array


def halving_doubling(ctx: Context, x: Array) -> None:
    """Sum x over all ranks, in place. Blocks. x may still be on loan: call `ctx.settle` before changing it."""
    fold(ctx, x, halving_then_doubling)


def halving_then_doubling(ctx: Context, x: Array) -> None:
    """Sum x over all ranks, a power of two, in place. Blocks.

    What a rank lent in the reduce-scatter is overwritten in the all-gather by what the partner made of it: proof that
    it was read.
    """
    n, rank = ctx.size, ctx.rank
    block = blocks(x.size, n)
    for distance in distances(n)[::-1]:  # reduce-scatter
        partner = rank ^ distance
        ctx.lend(partner, x[block(partner, distance)])
        ctx.recv_add(partner, x[block(rank, distance)])
    for distance in distances(n):  # all-gather
        partner = rank ^ distance
        ctx.lend(partner, x[block(rank, distance)])
        ctx.recv_into(partner, x[block(partner, distance)])


def distances(p: int) -> list[int]:
    """1, 2, 4, … p/2."""
    return [1 << k for k in range(p.bit_length() - 1)]


def blocks(size: int, p: int) -> Callable[[int, int], slice]:
    """`block(rank, distance)`: the aligned run of `distance` of p chunks in which chunk `rank` lies."""
    edge = bounds(size, p)

    def block(rank: int, distance: int) -> slice:
        first = rank - rank % distance
        return slice(edge[first], edge[first + distance])

    return block


class HalvingDoubling(AllReduce):
    """Halves, quarters, … summed up and gathered again: the fewest bytes in 2log₂n steps."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        halving_doubling(ctx, x)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        def own(p: int) -> int:
            block = blocks(size, p)
            sent = [block(peer, distance) for distance in distances(p) for peer in (rank, rank ^ distance)]
            sizes: list[int] = [part.stop - part.start for part in sent]
            return itemsize * sum(sizes)

        return fold_bytes(rank, workers, size * itemsize, own)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        p = stay(workers)
        share = (p - 1) / p
        core = 2 * len(distances(p)) * link.alpha + 2 * share * nbytes * link.beta + share * nbytes * link.gamma
        return core + fold_seconds(workers, nbytes, link)
