"""The server's loop if every step has one push of every worker: their sum, in rank order, then the answers."""

from collections.abc import Callable, Sequence

import numpy as np

from common.context import Context
from common.errors import FINISH, ProtocolError
from common.types import EMPTY, Rows, Vector
from ps.row_messages import receive_all, send_rows
from ps.row_shard import RowShard
from ps.segments import Segment
from ps.shard import Refused, Shard


def lockstep(
    ctx: Context, segments: Sequence[Segment], shards: Sequence[Shard], reached: Callable[[int], None]
) -> None:
    """Serve until all workers have finished; call `reached` with the number of steps done. Blocks; raises RunError.

    The gradients are added up straight out of the senders' memory, one after the other; nothing else is stored. The
    parameters are lent to the workers: they change only when all workers have pushed again, so have read them.
    """
    others = ctx.workers[1:]
    scratch = np.empty(max(segment.longest for segment in segments), np.float32)
    while (step := _next_step(ctx, segments[0], scratch[: segments[0].longest])) != FINISH:
        for index, (segment, shard) in enumerate(zip(segments, shards, strict=True)):
            ctx.place.bucket = segment.bucket
            total: Vector | Rows = scratch[: segment.longest]
            if isinstance(shard, RowShard):
                total = receive_all(ctx, ctx.workers, scratch[: segment.longest], shard.width)
            elif index:
                ctx.fast.recv_sum(ctx.workers, scratch[: segment.longest])
            else:  # `_next_step` has received the first worker's
                ctx.fast.recv_add_all(others, scratch[: segment.longest])
            try:
                ready = shard.push_all(step, total)
            except Refused as refusal:
                raise ProtocolError(str(refusal), **ctx.place.fields()) from None
            for worker in ready:
                if isinstance(shard, RowShard):
                    send_rows(ctx, worker, shard.pull(worker))
                else:
                    ctx.lend(worker, segment.params)
        for worker in ctx.workers:  # how long the pushes waited unread is not known
            event = {"event": "push", "worker": worker, "step": step, "applied": step, "staleness": 0}
            ctx.record({**event, "version": step, "waited": None, "outcome": "applied"})
        reached(step + 1)
    for worker in others:
        ctx.recv_into(worker, EMPTY)
    for worker in ctx.workers:
        ctx.record({"event": "finished", "worker": worker, "step": shards[0].version})


def _next_step(ctx: Context, segment: Segment, out: Vector) -> int:
    """Receive the first worker's push of the first segment into `out`; return its step, and set this rank's to it."""
    message = ctx.recv_any(ctx.workers[:1], out)
    ctx.place.step, ctx.place.bucket = message.step, message.bucket
    if message.step != FINISH and (message.bucket, message.size) != (segment.bucket, out.size):
        got = f"bucket {message.bucket}, {message.size} elements"
        wanted = f"bucket {segment.bucket}, {out.size} elements"
        raise ProtocolError(f"worker {message.sender} sent {got}; its next is {wanted}", **ctx.place.fields())
    return message.step
