"""The life of a server rank: its segments of the model, their first values, then the loop of its consistency."""

from collections.abc import Sequence

import numpy as np

from common.context import Context
from common.strategy import Bucket
from ps.any_order_loop import AnyOrderLoop
from ps.checkpointing import ServerState
from ps.consistency import Consistency
from ps.lockstep_loop import lockstep
from ps.push_history import PushHistory
from ps.row_shard import RowShard
from ps.segments import Segment, owned
from ps.shard import Shard
from ps.sharding import Sharding


def serve(ctx: Context, buckets: Sequence[Bucket], consistency: Consistency, sharding: Sharding, nbytes: int) -> None:
    """Own this server's segments, of at most `nbytes`, until every worker has left. Blocks; raises RunError.

    The first values come from worker 0, or from a checkpoint, and go to all workers. From then on every push of a
    segment is answered with its parameters, which live in `buckets`, in place.
    """
    segments = owned(buckets, sharding, nbytes, ctx.rank - ctx.servers.start, len(ctx.servers))
    if ctx.resumed is None:
        _announce(ctx, segments)
        for segment in segments:
            ctx.recv_into(ctx.workers[0], segment.params)
        _hand_out(ctx, segments)
    optimizers = [ctx.optimizer(segment.params) for segment in segments]
    shards = [
        RowShard(segment.params, segment.width, ctx.workers, optimizer.step_rows, consistency)
        if segment.width
        else Shard(segment.params, ctx.workers, optimizer.step, consistency)
        for segment, optimizer in zip(segments, optimizers, strict=True)
    ]
    history = PushHistory(ctx.record, ctx.now)
    state = ServerState(ctx, shards, optimizers, history.flush)
    if ctx.resumed is not None:
        state.restore()
        ctx.record({"event": "resumed", "version": shards[-1].version})
        _announce(ctx, segments)
        _catch_up(ctx, shards)
        _hand_out(ctx, segments)
    ctx.place.enter("synchronize")
    if consistency.at_once:
        state.keep()
    state.reached(consistency.progress(shards[-1]))
    if consistency.lockstep:
        lockstep(ctx, segments, shards, state.reached)
    else:
        AnyOrderLoop(ctx, segments, shards, state.reached, history).serve()
    ctx.settle()


def _announce(ctx: Context, segments: Sequence[Segment]) -> None:
    """Tell every worker which parts of the model this server owns."""
    table = np.array([(segment.start, segment.params.size) for segment in segments], np.int64)
    for worker in ctx.workers:
        ctx.send(worker, np.array([len(table)], np.int64))
        ctx.send(worker, table)


def _hand_out(ctx: Context, segments: Sequence[Segment]) -> None:
    """Give every worker the parameters. Blocks until they have read them: the optimizers will write to these."""
    for worker in ctx.workers:
        for segment in segments:
            ctx.lend(worker, segment.params)
    ctx.settle()


def _catch_up(ctx: Context, shards: Sequence[Shard]) -> None:
    """Hear from every worker at which step it continues; note which of its pushes are lost. Blocks."""
    for worker in ctx.workers:
        step = int(ctx.recv(worker, np.empty(1, np.int64))[0])
        lost = max(shard.catch_up(worker, step) for shard in shards)
        if lost:
            ctx.record({"event": "lost", "worker": worker, "step": step - lost, "pushes": lost})
