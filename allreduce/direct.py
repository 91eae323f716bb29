"""Direct exchange: everyone sends chunk c straight to worker c, which adds them up and sends the sum straight back.

It is what a parameter server does that is spread over all n workers (co-located, S = n): worker c is the server of
chunk c. As a collective: a pairwise-exchange reduce-scatter (Thakur, Rabenseifner, Gropp 2005), then an all-gather of
the same kind.

    steps       2, of n-1 messages each
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2α + 2(n-1)/n·Mβ + (n-1)/n·Mγ at most, as adding overlaps with receiving

As few bytes as a ring in two steps instead of 2(n-1); in return everyone talks to everyone, over n(n-1) links. A long
vector goes piece by piece, k of them: where memory is shared, a sum is still in the cache when the others fetch it.
That makes 2k steps, and 2kα. Reduction order of chunk c of a piece: c, c+1, … c-1 (mod n), by worker c.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from allreduce.chunks import bounds, split
from allreduce.options import at_least_one
from allreduce.strategy import AllReduce, divide, keep
from common.context import Array, Context
from common.strategy import Link

CHUNK_BYTES = 1 << 19  # the chunks of all workers fit a cache that they share, with room for those that they come from


def direct(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all ranks, in place; `finish` is called once, by its owner, for each chunk that is summed up. Blocks.

    Messages leave in the order in which they are added, a different receiver for each sender at any time. Chunk c,
    lent to rank c, is overwritten by rank c's sum of it: proof that it was read. The own sum is still on loan at the
    end: call `ctx.settle` before changing x.
    """
    n, rank = ctx.size, ctx.rank
    chunk = split(x, n)
    senders = [(rank + i) % n for i in range(1, n)]
    receivers = senders[::-1]
    for peer in receivers:  # reduce-scatter
        ctx.lend(peer, chunk[peer])
    mine = chunk[rank]
    ctx.recv_add_all(senders, mine)
    finish(mine)
    for peer in receivers:  # all-gather
        ctx.lend(peer, mine)
    for peer in senders:
        ctx.recv_into(peer, chunk[peer])


class Direct(AllReduce):
    """Each worker sums up one chunk for all: the fewest bytes in two steps, everyone talking to everyone.

    `chunk`: bytes that a worker adds up at a time; longer vectors go in several pieces of n chunks.
    """

    def __init__(self, chunk: int = CHUNK_BYTES) -> None:
        at_least_one("chunk", chunk)
        self.chunk = chunk

    def all_reduce(self, ctx: Context, x: Array) -> None:
        for piece in split(x, self._pieces(ctx.size, x.nbytes)):
            direct(ctx, piece)

    def mean(self, ctx: Context, x: Array) -> None:
        for piece in split(x, self._pieces(ctx.size, x.nbytes)):
            direct(ctx, piece, partial(divide, n=ctx.size))

    def _pieces(self, workers: int, nbytes: int) -> int:
        return max(1, nbytes // (workers * self.chunk))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        cuts = bounds(size, self._pieces(workers, size * itemsize))
        edges = [bounds(end - start, workers) for start, end in pairwise(cuts)]
        mine = sum(edge[rank + 1] - edge[rank] for edge in edges)
        return itemsize * (size - mine + (workers - 1) * mine)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        if workers == 1:
            return 0.0
        share = (workers - 1) / workers
        return (
            2 * self._pieces(workers, nbytes) * link.alpha
            + 2 * share * nbytes * link.beta
            + share * nbytes * link.gamma
        )
