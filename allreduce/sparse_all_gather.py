"""Sparse all-gather (Renggli et al., "SparCML", SC 2019; Horovod treats sparse gradients likewise).

The gradient of an embedding table has k of its R rows, other rows at each worker, so there is nothing to add up
element by element. Everyone sends its rows, numbers and values, straight to everyone else, and adds up what it has
gathered, on the union of the rows, for itself. How many rows come is exchanged first. With k rows of w columns at
each worker:

    steps       2, of n-1 messages each: sizes, then row numbers and values
    bytes sent  (n-1)·(8 + k·(8 + 4w)) by every worker; a dense ring sends 2(n-1)/n·R·4w
    time        3α + (n-1)·k·(8 + 4w)·β + n·k·4w·γ

It is cheaper than a dense ring where k < 2R/n, about; the work of adding up grows with n, at every worker. Reduction
order of a row: the workers' that touch it, in the order of their ranks. Dense buckets go round a ring.
"""

from __future__ import annotations

import numpy as np

from allreduce.ring import Ring
from common.context import Context
from common.errors import ProtocolError
from common.models.sparse_rows import sum_duplicate_rows
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
    """Replace `rows`, of a table of `most`, by their mean over all workers, the same bits on each. Blocks.

    Raises ProtocolError where a worker says that it has rows that there are not.
    """
    gathered = all_gather(ctx, rows, most)
    index = np.concatenate([each.index for each in gathered])
    if index.size and not 0 <= index.min() <= index.max() < most:
        raise ProtocolError(f"there is a row that a table of {most} does not have", **ctx.place.fields())
    rows.index, total = sum_duplicate_rows(index, np.concatenate([each.values for each in gathered]))
    rows.values = total / np.float32(ctx.size)


def all_gather(ctx: Context, rows: Rows, most: int) -> list[Rows]:
    """The rows of all workers, of a table of `most`, in the order of their ranks. Blocks; may raise ProtocolError."""
    n, rank = ctx.size, ctx.rank
    senders = [(rank + i) % n for i in range(1, n)]
    for peer in reversed(senders):  # a different receiver for each sender at any time
        ctx.send(peer, np.array([rows.index.size], np.int64))
        ctx.lend(peer, rows.index)
        ctx.lend(peer, rows.values)
    gathered = {rank: rows}
    for peer in senders:
        k = _size(ctx, peer, most)
        index: Array = np.empty(k, np.int64)
        values: Array = np.empty((k, rows.width), np.float32)
        ctx.recv_into(peer, index)
        ctx.recv_into(peer, values)
        gathered[peer] = Rows(rows.width, index, values)
    ctx.settle()
    return [gathered[peer] for peer in range(n)]


def _size(ctx: Context, peer: int, most: int) -> int:
    """How many rows `peer` will send; nothing is allocated for more than there are."""
    size = np.empty(1, np.int64)
    ctx.recv_into(peer, size)
    if not 0 <= size[0] <= most:
        raise ProtocolError(f"rank {peer} has {size[0]} rows of a table of {most}", **ctx.place.fields())
    return int(size[0])
