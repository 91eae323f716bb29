"""The server's loop where every step has one push of every worker: their sum, in rank order, then the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from common.context import Context
from common.errors import FINISH, ProtocolError
from common.types import EMPTY, Vector
from ps.row_messages import send, take_all
from ps.row_shard import RowShard
from ps.segments import Segment
from ps.shard import Refused, Shard


def lockstep(
    ctx: Context, segments: Sequence[Segment], shards: Sequence[Shard], reached: Callable[[int], None]
) -> None:
    """Serve until all workers have finished; tell `reached` how many steps are done. Blocks; raises RunError.

    The gradients are added up straight out of the senders' memory, one after the other; nothing else is stored. The
    parameters are lent: they change only when all workers have pushed again, so have read them.
    """
    rest = ctx.workers[1:]
    total = np.empty(max(each.most for each in segments), np.float32)
    work = [(each, shard, total[: each.most]) for each, shard in zip(segments, shards, strict=True)]
    while (step := _next_step(ctx, segments[0], work[0][2])) != FINISH:
        for index, (segment, shard, mean) in enumerate(work):
            ctx.place.bucket = segment.bucket
            if isinstance(shard, RowShard):
                _step_by_rows(ctx, shard, step, mean)
                continue
            if index:
                ctx.fast.recv_sum(ctx.workers, mean)
            else:  # the first worker's has come already
                ctx.fast.recv_add_all(rest, mean)
            try:
                ready = shard.push_all(step, mean)
            except Refused as refusal:
                raise ProtocolError(str(refusal), **ctx.place.fields()) from None
            for worker in ready:
                ctx.lend(worker, segment.params)
        _note(ctx, step)
        reached(step + 1)
    for worker in rest:
        ctx.recv_into(worker, EMPTY)
    for worker in ctx.workers:
        ctx.record({"event": "finished", "worker": worker, "step": shards[0].version})


def _step_by_rows(ctx: Context, shard: RowShard, step: int, scratch: Vector) -> None:
    """The same for a part of a table: the rows of all workers, their sum, the rows that have changed to everybody."""
    total = take_all(ctx, ctx.workers, scratch, shard.width)
    try:
        ready = shard.push_all(step, total)
    except Refused as refusal:
        raise ProtocolError(str(refusal), **ctx.place.fields()) from None
    for worker in ready:
        send(ctx, worker, shard.pull(worker))


def _next_step(ctx: Context, segment: Segment, out: Vector) -> int:
    """Receive the first worker's push of the first segment into `out`; returns its step, where this rank is then."""
    message = ctx.recv_any(ctx.workers[:1], out)
    ctx.place.step, ctx.place.bucket = message.step, message.bucket
    if message.step != FINISH and (message.bucket, message.size) != (segment.bucket, out.size):
        got = f"bucket {message.bucket}, {message.size} elements"
        wanted = f"bucket {segment.bucket}, {out.size} elements"
        raise ProtocolError(f"worker {message.sender} sent {got}; its next is {wanted}", **ctx.place.fields())
    return message.step


def _note(ctx: Context, step: int) -> None:
    """The history of a step, when its answers are on their way: early pushes waited unread, nobody knows how long."""
    for worker in ctx.workers:
        ctx.record(
            {
                "event": "push",
                "worker": worker,
                "step": step,
                "applied": step,
                "staleness": 0,
                "version": step,
                "waited": None,
                "outcome": "applied",
            }
        )
