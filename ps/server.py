"""The life of a server rank: what it owns of the model, the first values, and then the loop of its consistency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.context import Context
from common.strategy import Bucket
from ps.arrivals import Arrivals
from ps.consistency import BSP, Consistency
from ps.lockstep import lockstep
from ps.row_shard import RowShard
from ps.segments import Segment, owned
from ps.shard import Shard
from ps.sharding import Placement


def serve(ctx: Context, buckets: Sequence[Bucket], consistency: Consistency, placement: Placement) -> None:
    """Own this server's pieces of every bucket until every worker has left. Blocks; raises RunError.

    Takes the first values from worker 0 and gives them to all. Then answers the pushes of one segment after the other
    with parameters, which live in `buckets`, in place. The order of the segments is the workers' too.
    """
    segments = owned(buckets, placement, ctx.rank - ctx.servers.start, len(ctx.servers))
    _first_values(ctx, segments)
    shards = [_shard(ctx, each, consistency) for each in segments]
    ctx.place.enter("synchronize")
    if isinstance(consistency, BSP):
        lockstep(ctx, segments, shards)
    else:
        Arrivals(ctx, segments, shards).serve()
    ctx.settle()


def _shard(ctx: Context, segment: Segment, consistency: Consistency) -> Shard:
    """The state of a segment, and its optimizer."""
    params, optimizer = segment.params, ctx.optimizer(segment.params)
    if segment.width:
        return RowShard(params, segment.width, ctx.workers, optimizer.step_rows, consistency)
    return Shard(params, ctx.workers, optimizer.step, consistency)


def _first_values(ctx: Context, segments: Sequence[Segment]) -> None:
    """Tell every worker what this server owns; take the values from worker 0, and give them to all."""
    table = np.array([(each.start, each.params.size) for each in segments], np.int64)
    for worker in ctx.workers:
        ctx.send(worker, np.array([len(table)], np.int64))
        ctx.send(worker, table)
    for each in segments:
        ctx.recv_into(ctx.workers[0], each.params)
    for worker in ctx.workers:
        for each in segments:
            ctx.lend(worker, each.params)
    ctx.settle()  # the optimizers will write to what was lent
