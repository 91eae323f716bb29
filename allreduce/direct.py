"""Direct exchange: everyone sends chunk c straight to worker c, which adds them up and sends the sum straight back.

It is what a parameter server does that is spread over all n workers (co-located, S = n): worker c is the server of
chunk c. As a collective: a pairwise-exchange reduce-scatter (Thakur, Rabenseifner, Gropp 2005), then an all-gather of
the same kind.

    steps       2, of n-1 messages each
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2α + 2(n-1)/n·Mβ + (n-1)/n·Mγ at most, as adding overlaps with receiving

As few bytes as a ring in two steps instead of 2(n-1); in return everyone talks to everyone, over n(n-1) links. Where
memory is shared, worker c writes the sum over what it was made from while that is in the cache. Reduction order of
chunk c: c, c+1, … c-1 (mod n), by worker c.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allreduce.chunks import bounds, split
from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import Array


def direct(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all ranks, in place. Blocks. `finish` is called by the owner of each chunk with the parts of its sum.

    Messages leave in the order in which they are added, a different receiver for each sender at any time. Chunk c is
    exposed to rank c, whose sum takes its place. The own sum may still be on loan at the end: call `ctx.settle` before
    changing x.
    """
    n, rank = ctx.size, ctx.rank
    chunk = split(x, n)
    senders = [(rank + i) % n for i in range(1, n)]
    receivers = senders[::-1]
    for peer in receivers:  # reduce-scatter
        ctx.fast.expose(peer, chunk[peer])
    ctx.fast.recv_add_answer(senders, chunk[rank], finish)
    for peer in senders:  # all-gather
        ctx.recv_into(peer, chunk[peer])


class Direct(AllReduce):
    """Each worker sums up one chunk for all: the fewest bytes in two steps, everyone talking to everyone."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        direct(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        direct(ctx, x, partial(divide, n=ctx.size))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        edge = bounds(size, workers)
        mine = edge[rank + 1] - edge[rank]
        return itemsize * (size - mine + (workers - 1) * mine)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        if workers == 1:
            return 0.0
        share = (workers - 1) / workers
        return 2 * link.alpha + 2 * share * nbytes * link.beta + share * nbytes * link.gamma
