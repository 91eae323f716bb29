"""Chunked ring (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations").

x is cut into n chunks. In the *reduce-scatter*, each worker passes a chunk to its right neighbour and adds the one
that comes from the left; after n-1 steps worker r owns the finished sum of chunk r+1. In the *all-gather*, the
finished chunks go round once more.

    steps       2(n-1)
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2(n-1)α + 2(n-1)/n·Mβ + (n-1)/n·Mγ

Reduction order of chunk c: c, c+1, … c-1 (mod n), wherever it ends up, so all replicas hold the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allreduce.chunks import bounds, split
from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import Array


def ring(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all ranks, in place; `finish` is called once, by its owner, for each chunk that is summed up. Blocks.

    A chunk lent in the reduce-scatter is overwritten in the all-gather by a sum that contains it: proof that it was
    read. What the all-gather lent is still on loan at the end: call `ctx.settle` before changing x.
    """
    n, rank = ctx.size, ctx.rank
    left, right = (rank - 1) % n, (rank + 1) % n
    chunk = split(x, n)
    for step in range(n - 1):  # reduce-scatter
        ctx.lend(right, chunk[(rank - step) % n])
        ctx.recv_add(left, chunk[(rank - step - 1) % n])
    finish(chunk[(rank + 1) % n])
    for step in range(n - 1):  # all-gather
        ctx.lend(right, chunk[(rank + 1 - step) % n])
        ctx.recv_into(left, chunk[(rank - step) % n])


class Ring(AllReduce):
    """Chunks passed round a ring, twice: every link busy, the fewest bytes, but 2(n-1) steps."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        ring(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        ring(ctx, x, partial(divide, n=ctx.size))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        if workers == 1:
            return 0
        edge = bounds(size, workers)
        kept = [(rank + 1) % workers, (rank + 2) % workers]  # one chunk stays home in each phase
        return itemsize * (2 * size - sum(edge[c + 1] - edge[c] for c in kept))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        share = (workers - 1) / workers
        return 2 * (workers - 1) * link.alpha + 2 * share * nbytes * link.beta + share * nbytes * link.gamma
