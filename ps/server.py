"""The life of a server rank: the loop that moves messages between the workers and the shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.context import Context
from common.errors import FINISH, ProtocolError
from common.strategy import Bucket, Vector
from ps.consistency import BSP
from ps.shard import Refused, Shard
from ps.sharding import even


def serve(ctx: Context, params: Vector, buckets: Sequence[Bucket], consistency: BSP) -> None:
    """Own this server's piece of every bucket of `params` until every worker has left. Blocks; raises RunError.

    Takes the first values from worker 0 and sends them to all, each server its slice of the whole. Then answers the
    pushes of one bucket after the other with parameters, which live in `buckets`, in place. The order of the buckets
    is the workers' too, so that whoever is ahead waits in its own queue.
    """
    _first_values(ctx, params)
    mine = [_own(ctx, bucket) for bucket in buckets]
    shards = [Shard(bucket.params, ctx.workers, ctx.optimizer(bucket.params).step, consistency) for bucket in mine]
    turn = 0
    ctx.place.enter("synchronize")
    while due := shards[turn].may_push():
        pushed = mine[turn].grad
        message = ctx.recv_any(due, pushed)
        ctx.place.step, ctx.place.bucket = message.step, turn
        try:
            if message.bucket != turn:
                raise Refused(f"worker {message.sender} sent bucket {message.bucket}, its next is bucket {turn}")
            if message.step == FINISH:
                for shard in shards:
                    shard.leave(message.sender)
                continue
            answer = shards[turn].push(message.sender, message.step, pushed[: message.size])
        except Refused as refusal:
            raise ProtocolError(str(refusal), **ctx.place.fields()) from None
        if answer:
            _reply(ctx, mine[turn].params, answer)
            turn = (turn + 1) % len(shards)
    ctx.settle()


def _first_values(ctx: Context, params: Vector) -> None:
    """Everybody starts with worker 0's parameters."""
    ctx.recv_into(ctx.workers[0], params)
    _reply(ctx, params[even(params.size, len(ctx.servers))[ctx.rank - ctx.servers.start]], ctx.workers)
    ctx.settle()  # `optimizer.step` will write to what was lent


def _own(ctx: Context, bucket: Bucket) -> Bucket:
    """This server's piece of a bucket."""
    piece = even(bucket.params.size, len(ctx.servers))[ctx.rank - ctx.servers.start]
    return Bucket(bucket.grad[piece], bucket.params[piece], bucket.index)


def _reply(ctx: Context, weights: Vector, workers: Iterable[int]) -> None:
    """Lend the parameters. BSP writes to them only when all workers have pushed again, so have read them."""
    for worker in workers:
        ctx.lend(worker, weights)
