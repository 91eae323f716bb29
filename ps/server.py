"""The life of a server rank: what it owns of the model, the first values, and then the loop of its consistency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.context import Context, Optimizer
from common.strategy import Bucket
from ps.any_order_loop import Arrivals
from ps.checkpointing import Saved
from ps.consistency import Consistency
from ps.lockstep_loop import lockstep
from ps.push_history import History
from ps.row_shard import RowShard
from ps.segments import Segment, owned
from ps.shard import Shard
from ps.sharding import Sharding


def serve(ctx: Context, buckets: Sequence[Bucket], consistency: Consistency, sharding: Sharding, segment: int) -> None:
    """Own this server's pieces of every bucket until every worker has left. Blocks; raises RunError.

    Takes the first values from worker 0, or from a checkpoint, and gives them to all. Then answers the pushes of one
    segment, `segment` bytes at most, after the other with parameters, which live in `buckets`, in place. The order of
    the segments is the workers' too.
    """
    segments = owned(buckets, sharding, segment, ctx.rank - ctx.servers.start, len(ctx.servers))
    if ctx.resumed is None:
        _first_values(ctx, segments)
    optimizers = [ctx.optimizer(each.params) for each in segments]
    shards = [_shard(ctx, each, optimizer, consistency) for each, optimizer in zip(segments, optimizers, strict=True)]
    history = History(ctx.record, ctx.now)
    saved = Saved(ctx, shards, optimizers, history.flush)
    if ctx.resumed is not None:
        saved.restore()
        ctx.record({"event": "resumed", "version": shards[-1].version})
        _tell_owned(ctx, segments)
        _catch_up(ctx, shards)
        _hand_out(ctx, segments)
    ctx.place.enter("synchronize")
    if consistency.at_once:
        saved.carry()
    saved.reached(consistency.progress(shards[-1]))
    if consistency.lockstep:
        lockstep(ctx, segments, shards, saved.reached)
    else:
        Arrivals(ctx, segments, shards, saved.reached, history).serve()
    ctx.settle()


def _shard(ctx: Context, segment: Segment, optimizer: Optimizer, consistency: Consistency) -> Shard:
    """The state of a segment."""
    params = segment.params
    if segment.width:
        return RowShard(params, segment.width, ctx.workers, optimizer.step_rows, consistency)
    return Shard(params, ctx.workers, optimizer.step, consistency)


def _first_values(ctx: Context, segments: Sequence[Segment]) -> None:
    """Tell every worker what this server owns; take the values from worker 0, and give them to all."""
    _tell_owned(ctx, segments)
    for each in segments:
        ctx.recv_into(ctx.workers[0], each.params)
    _hand_out(ctx, segments)


def _catch_up(ctx: Context, shards: Sequence[Shard]) -> None:
    """Hear from every worker at which step it goes on; note in the history what it pushed and is not in any more."""
    for worker in ctx.workers:
        step = int(ctx.recv(worker, np.empty(1, np.int64))[0])
        lost = max(shard.catch_up(worker, step) for shard in shards)
        if lost:
            ctx.record({"event": "lost", "worker": worker, "step": step - lost, "pushes": lost})


def _tell_owned(ctx: Context, segments: Sequence[Segment]) -> None:
    table = np.array([(each.start, each.params.size) for each in segments], np.int64)
    for worker in ctx.workers:
        ctx.send(worker, np.array([len(table)], np.int64))
        ctx.send(worker, table)


def _hand_out(ctx: Context, segments: Sequence[Segment]) -> None:
    for worker in ctx.workers:
        for each in segments:
            ctx.lend(worker, each.params)
    ctx.settle()  # the optimizers will write to what was lent
