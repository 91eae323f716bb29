"""Direct exchange: every worker sends chunk c to worker c, which adds them up and sends the sum back to all.

A pairwise-exchange reduce-scatter (Thakur, Rabenseifner, Gropp 2005), then an all-gather of the same kind. It is what
a parameter server does that is spread over the n workers (co-located, S = n): worker c is the server of chunk c.

    steps       2, of n-1 messages each
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2α + 2(n-1)/n·Mβ + (n-1)/n·Mγ at most, as adding overlaps with receiving
    order       chunk c is added up from worker c, c+1, … c-1 (mod n), by worker c

It sends the bytes of a ring in two steps instead of 2(n-1); in return every worker talks to every other, over n(n-1)
links. Where memory is shared, worker c writes the sum over the chunks that it was made from while they are in the
cache.
"""

from collections.abc import Callable
from functools import partial

from allreduce.chunks import Chunks, bounds
from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def direct(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all workers, in place. Blocks. The owner of each chunk calls `finish` on the parts of its sum.

    Chunks leave in the order in which they are added up; at any time each worker sends to a different one. Chunk c is
    exposed to worker c, which puts the sum in its place. The own sum may still be on loan at the end: call
    `ctx.settle` before changing x.
    """
    n, rank = len(ctx.workers), ctx.rank
    chunk = Chunks(x, n)
    others = [(rank + i) % n for i in range(1, n)]
    for peer in reversed(others):  # reduce-scatter
        ctx.fast.expose(peer, chunk[peer])
    ctx.fast.recv_add_answer(others, chunk[rank], finish)
    for peer in others:  # all-gather
        ctx.recv_into(peer, chunk[peer])


class Direct(AllReduce):
    """Each worker sums up one chunk for all: the fewest bytes in two steps, everyone talking to everyone."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        direct(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        direct(ctx, x, partial(divide, n=len(ctx.workers)))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        edge = bounds(size, workers)
        own = edge[rank + 1] - edge[rank]
        return FLOAT_BYTES * (size - own + (workers - 1) * own)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        if workers == 1:
            return 0.0
        share = (workers - 1) / workers
        return 2 * link.alpha + share * nbytes * (2 * link.beta + link.gamma)
