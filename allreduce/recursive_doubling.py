"""Recursive doubling (Thakur, Rabenseifner, Gropp 2005): pairs exchange all of x, then pairs of pairs …

Before the round of distance d, every rank holds the sum over the d ranks that share its number but for the bits below
d; it exchanges that with rank XOR d.

    steps       log₂n
    bytes sent  log₂n·M by every worker
    time        log₂n·(α + Mβ + Mγ)

The fewest steps of all, so the first choice for a small x; the whole of x in each of them. If n is no power of two,
the ranks from the largest power of two p on are folded in: p for n, and what `fold` adds.
Reduction order: extra ranks first, to rank - p; then by rounds, neighbours, then pairs, then fours. Partners add the
same two terms, a + b here and b + a there, which are the same bits: replicas are equal.
"""

from __future__ import annotations

from allreduce.fold import fold, fold_bytes, fold_seconds, stay
from allreduce.strategy import AllReduce
from common.context import Context
from common.strategy import Link
from common.types import Array


def recursive_doubling(ctx: Context, x: Array) -> None:
    """Sum x over all ranks, in place. Blocks. x may still be on loan: call `ctx.settle` before changing it."""
    fold(ctx, x, doubling)


def doubling(ctx: Context, x: Array) -> None:
    """Sum x over all ranks, a power of two, in place. Blocks."""
    distance = 1
    while distance < ctx.size:
        partner = ctx.rank ^ distance
        ctx.send(partner, x)  # a copy: both add to their x in this very round
        ctx.recv_add(partner, x)
        distance *= 2


class RecursiveDoubling(AllReduce):
    """Pairs, then pairs of pairs exchange the whole vector: the fewest steps, for small ones."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        recursive_doubling(ctx, x)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        nbytes = size * itemsize
        return fold_bytes(rank, workers, nbytes, lambda p: rounds(p) * nbytes)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        each = link.alpha + nbytes * link.beta + nbytes * link.gamma
        return rounds(stay(workers)) * each + fold_seconds(workers, nbytes, link)


def rounds(p: int) -> int:
    """log₂p of a power of two."""
    return p.bit_length() - 1
