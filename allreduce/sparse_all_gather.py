"""Sparse all-gather (Renggli et al., "SparCML", SC 2019; Horovod treats sparse gradients likewise).

The gradient of an embedding table has k of its R rows, different rows at each worker, so it cannot be added up element
by element. Every worker sends its rows, numbers and values, straight to every other worker, and adds up what it has
gathered on the union of the rows. The workers exchange the numbers of rows first. With k rows of w columns a worker:

    steps       2, of n-1 messages each: sizes, then row numbers and values
    bytes sent  (n-1)·(8 + k·(8 + 4w)) by every worker; a dense ring sends 2(n-1)/n·R·4w
    time        3α + (n-1)·k·(8 + 4w)·β + n·k·4w·γ
    order       of a row: the workers that touch it, in the order of their ranks

It is cheaper than a dense ring if k < 2R/n, about; the work of adding up grows with n, at every worker. Dense buckets
go round a ring.
"""

import numpy as np

from allreduce.ring import Ring
from common.context import Context
from common.errors import ProtocolError
from common.models.sparse_rows import merge
from common.strategy import Bucket, Traits
from common.types import Array, Rows


class SparseAllGather(Ring):
    """Touched rows of an embedding table gathered by everyone, all else by the ring: plain SGD only."""

    traits = Traits(sparse=True)
    sparse = "on"

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Leave the mean gradient in `bucket.grad`, or in `bucket.rows`."""
        if bucket.rows is None:
            super().synchronize(ctx, bucket)
        else:
            mean_rows(ctx, bucket.rows, bucket.params.size // bucket.rows.width)


def mean_rows(ctx: Context, rows: Rows, most: int) -> None:
    """Replace `rows`, of a table of `most` rows, by their mean over all workers, the same bits on each. Blocks.

    ProtocolError if a worker sends rows that the table does not have.
    """
    total = merge(all_gather(ctx, rows, most))
    if total.index.size and not 0 <= total.index[0] <= total.index[-1] < most:
        raise ProtocolError(f"a worker sent a row that a table of {most} does not have", **ctx.place.fields())
    rows.index, rows.values = total.index, total.values / np.float32(len(ctx.workers))


def all_gather(ctx: Context, rows: Rows, most: int) -> list[Rows]:
    """Return the rows of all workers, of a table of `most` rows, in the order of their ranks. Blocks; ProtocolError."""
    n, rank = len(ctx.workers), ctx.rank
    senders = [(rank + i) % n for i in range(1, n)]
    for peer in reversed(senders):  # at any time each worker sends to a different one
        ctx.send(peer, np.array([rows.index.size], np.int64))
        ctx.lend(peer, rows.index)
        ctx.lend(peer, rows.values)
    gathered = {rank: rows}
    for peer in senders:
        k = int(ctx.recv(peer, np.empty(1, np.int64))[0])
        if not 0 <= k <= most:  # before memory is allocated
            raise ProtocolError(f"rank {peer} has {k} rows of a table of {most}", **ctx.place.fields())
        index: Array = np.empty(k, np.int64)
        values: Array = np.empty((k, rows.width), np.float32)
        ctx.recv_into(peer, index)
        ctx.recv_into(peer, values)
        gathered[peer] = Rows(rows.width, index, values)
    ctx.settle()
    return [gathered[peer] for peer in range(n)]
