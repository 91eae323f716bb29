"""Ring all-reduce (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations").

Each worker talks to its two neighbours only: it sends to its right and receives from its left. x is cut into n chunks.
In the *reduce-scatter* every worker passes on one chunk at a time and adds what comes to its own; after n-1 steps each
chunk is complete at one worker. In the *all-gather* the complete chunks go round once more. With n = 3 and the chunks
a, b, c, where a01 is the sum of chunk a over the workers 0 and 1:

                      worker 0           worker 1           worker 2
    begin             a0   b0   c0       a1   b1   c1       a2   b2   c2
    reduce-scatter    a0   b0   c20      a01  b1   c1       a2   b12  c2
                      a0   b120 c20      a01  b1   c201     a012 b12  c2
    all-gather        a012 b120 c20      a01  b120 c201     a012 b12  c201
                      a012 b120 c201     a012 b120 c201     a012 b120 c201

    steps       2(n-1)
    bytes sent  2(n-1)/n·M by every worker: the least possible
    time        2(n-1)α + 2(n-1)/n·Mβ + (n-1)/n·Mγ
    order       chunk c is added up from worker c, c+1, … c-1 (mod n), and then copied: all replicas hold the same bits
"""

from collections.abc import Callable
from functools import partial

from allreduce.chunks import Chunks, bounds
from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def ring(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all workers, in place. Blocks. `finish` is called on each complete chunk, by one worker.

    A lent chunk must not change until the peer has read it. The all-gather overwrites a chunk lent in the
    reduce-scatter with the final sum. That sum contains the chunk, so the peer has read it. The chunks lent in the
    all-gather are still on loan at the end: call `ctx.settle` before changing x.
    """
    n, rank = len(ctx.workers), ctx.rank
    left, right = (rank - 1) % n, (rank + 1) % n
    chunk = Chunks(x, n)
    for step in range(n - 1):  # reduce-scatter
        ctx.lend(right, chunk[rank - step])
        ctx.recv_add(left, chunk[rank - step - 1])
    finish(chunk[rank + 1])
    for step in range(n - 1):  # all-gather
        ctx.lend(right, chunk[rank - step + 1])
        ctx.recv_into(left, chunk[rank - step])


class Ring(AllReduce):
    """Chunks passed round a ring, twice: every link busy, the fewest bytes, but 2(n-1) steps."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        ring(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        ring(ctx, x, partial(divide, n=len(ctx.workers)))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        if workers == 1:
            return 0
        edge = bounds(size, workers)
        kept = [(rank + 1) % workers, (rank + 2) % workers]  # in each phase one chunk is not sent
        return FLOAT_BYTES * (2 * size - sum(edge[c + 1] - edge[c] for c in kept))

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        share = (workers - 1) / workers
        return 2 * (workers - 1) * link.alpha + share * nbytes * (2 * link.beta + link.gamma)
