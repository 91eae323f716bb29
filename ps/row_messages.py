"""Rows between workers and servers: one message with their numbers, then one with their values.

A server owns an equal range of the rows of the table, whatever the sharding of all else. It does not know how many
rows come next, nor whether a gradient or rows come; so the numbers, int32, travel as the bytes of float32, and the size
of the message says how many there are.

bytes sent  k·(4 + 4w) by a worker whose gradient touches k rows of w columns; by the servers, to each worker, as much
            for every row that has changed since its last pull
"""

from collections.abc import Callable, Iterable

import numpy as np

from common.context import Context
from common.errors import ProtocolError
from common.models.sparse_rows import merge
from common.strategy import Bucket
from common.types import Array, Rows, Vector
from ps.sharding import even


def exchange_rows(ctx: Context, bucket: Bucket, rows: Rows, reached: Callable[[Context, int], None]) -> None:
    """Push the rows of `bucket` and pull those that changed; `reached` gets each answer's step. Blocks."""
    table = bucket.params.reshape(-1, rows.width)
    parts = even(len(table), len(ctx.servers))
    for server, part in zip(ctx.servers, parts, strict=True):
        low, high = np.searchsorted(rows.index, (part.start, part.stop))
        send_rows(ctx, server, Rows(rows.width, rows.index[low:high] - part.start, rows.values[low:high]))
    for server, part in zip(ctx.servers, parts, strict=True):
        reached(ctx, _pull(ctx, server, table[part]))


def send_rows(ctx: Context, to: int, rows: Rows) -> None:
    """Send rows; their values are lent, and nobody may write to them."""
    ctx.send(to, rows.index.astype(np.int32).view(np.float32))
    ctx.lend(to, rows.values)


def receive_values(ctx: Context, sender: int, numbers: Vector, width: int) -> Rows:
    """Receive the values of the rows whose `numbers` have come from `sender`. Blocks."""
    index = numbers.view(np.int32).astype(np.int64)
    values: Array = np.empty((index.size, width), np.float32)
    ctx.recv_into(sender, values)
    return Rows(width, index, values)


def receive_all(ctx: Context, workers: Iterable[int], scratch: Vector, width: int) -> Rows:
    """Receive a push from each of `workers`; return their sum in that order. Blocks. Raises ProtocolError."""
    pushed = []
    for worker in workers:
        message = ctx.recv_any((worker,), scratch)
        if (message.step, message.bucket) != (ctx.place.step, ctx.place.bucket):
            got = f"step {message.step}, bucket {message.bucket}"
            raise ProtocolError(f"worker {worker} sent {got}; its next are rows", **ctx.place.fields())
        pushed.append(receive_values(ctx, worker, scratch[: message.size], width))
    return merge(pushed)


def _pull(ctx: Context, server: int, table: Array) -> int:
    """Receive rows of `table`, a server's part, into it; return the step of the answer. Blocks; ProtocolError."""
    numbers = np.empty(len(table), np.float32)
    first = ctx.recv_any((server,), numbers)
    index = numbers[: first.size].view(np.int32)
    values: Array = np.empty((first.size, table.shape[1]), np.float32)
    second = ctx.recv_any((server,), values)
    fits = second.size == values.size and (second.step, second.bucket) == (first.step, ctx.place.bucket)
    if not fits or (index.size and not 0 <= index.min() <= index.max() < len(table)):
        got = f"bucket {second.bucket}, {first.size} rows and {second.size} values"
        wanted = f"bucket {ctx.place.bucket}, rows of a table of {len(table)} × {table.shape[1]}"
        raise ProtocolError(f"expected {wanted} from rank {server}, got {got}", **ctx.place.fields())
    table[index] = values
    return first.step
