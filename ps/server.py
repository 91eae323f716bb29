"""The life of a server rank: the loop that moves messages between the workers and the shard."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common.context import Context
from common.errors import FINISH, ProtocolError
from common.strategy import Vector
from ps.consistency import BSP
from ps.shard import Refused, Shard
from ps.sharding import even


def serve(ctx: Context, params: Vector, consistency: BSP) -> None:
    """Own this server's slice of `params` until every worker has left. Blocks; raises RunError.

    Takes the first values from worker 0, sends them to all, then answers pushes with parameters.
    """
    mine = even(params.size, len(ctx.servers))[ctx.rank - ctx.servers.start]
    weights = ctx.alloc(len(params[mine]), np.float32)
    ctx.recv_into(ctx.workers[0], weights)
    _reply(ctx, weights, ctx.workers)
    ctx.settle()  # `optimizer.step` will write to what was lent

    shard = Shard(weights, ctx.workers, ctx.optimizer(weights).step, consistency)
    pushed = ctx.alloc(weights.size, np.float32)
    ctx.place.enter("synchronize")
    while due := shard.may_push():
        message = ctx.recv_any(due, pushed)
        ctx.place.step = message.step
        try:
            if message.step == FINISH:
                shard.leave(message.sender)
                continue
            _reply(ctx, weights, shard.push(message.sender, message.step, pushed[: message.size]))
        except Refused as refusal:
            raise ProtocolError(str(refusal), **ctx.place.fields()) from None
    ctx.settle()


def _reply(ctx: Context, weights: Vector, workers: Iterable[int]) -> None:
    """Lend the parameters. BSP writes to them only when all workers have pushed again, so have read them."""
    for worker in workers:
        ctx.lend(worker, weights)
