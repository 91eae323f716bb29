"""The life of a server rank: the loop that moves messages between the workers and the shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.context import Array, Context, Optimizer
from common.errors import FINISH, ProtocolError
from common.strategy import Bucket, Vector
from ps.comeback import hand_out, pack, unpack
from ps.consistency import BSP
from ps.shard import Refused, Shard
from ps.sharding import even


def serve(ctx: Context, params: Vector, buckets: Sequence[Bucket], consistency: BSP) -> None:
    """Own this server's piece of every bucket of `params` until every worker has left. Blocks; raises RunError.

    Takes the first values from worker 0 and sends them to all, each server its slice of the whole. Then answers the
    pushes of one bucket after the other with parameters, which live in `buckets`, in place. The order of the buckets
    is the workers' too, so that whoever is ahead waits in its own queue.
    """
    mine = [_own(ctx, bucket) for bucket in buckets]
    optimizers = [ctx.optimizer(bucket.params) for bucket in mine]
    shards = [
        Shard(bucket.params, ctx.workers, optimizer.step, consistency)
        for bucket, optimizer in zip(mine, optimizers, strict=True)
    ]
    saved = _Saved(ctx, shards, optimizers)
    if ctx.resumed:
        saved.restore()
        hand_out(ctx, [(bucket.start, bucket.params) for bucket in mine])
    else:
        _first_values(ctx, params)
        saved.save()
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
            if not turn:
                saved.save()
    ctx.settle()


class _Saved:
    """The state of a server's shards and of their optimizers in its checkpoints, if there are to be any."""

    def __init__(self, ctx: Context, shards: Sequence[Shard], optimizers: Sequence[Optimizer]) -> None:
        self.checkpoints, self.shards, self.optimizers = ctx.checkpoints, shards, optimizers

    def save(self) -> None:
        """Write a checkpoint if one is due after the step that has just been closed, in all shards. Blocks."""
        version = self.shards[0].version
        if self.checkpoints is not None and self.checkpoints.due(version):
            self.checkpoints.save(version, self._state())

    def _state(self) -> dict[str, Array]:
        shards = {f"shard {index}": shard.state() for index, shard in enumerate(self.shards)}
        return pack({**shards, **{f"optimizer {index}": each.state() for index, each in enumerate(self.optimizers)}})

    def restore(self) -> None:
        """Go on from the state that the checkpoints have for this server."""
        assert self.checkpoints is not None
        state = self.checkpoints.take()
        for index, (shard, optimizer) in enumerate(zip(self.shards, self.optimizers, strict=True)):
            shard.restore(unpack(state, f"shard {index}"))
            optimizer.restore(unpack(state, f"optimizer {index}"))


def _first_values(ctx: Context, params: Vector) -> None:
    """Everybody starts with worker 0's parameters."""
    ctx.recv_into(ctx.workers[0], params)
    _reply(ctx, params[even(params.size, len(ctx.servers))[ctx.rank - ctx.servers.start]], ctx.workers)
    ctx.settle()  # `optimizer.step` will write to what was lent


def _own(ctx: Context, bucket: Bucket) -> Bucket:
    """This server's piece of a bucket."""
    piece = even(bucket.params.size, len(ctx.servers))[ctx.rank - ctx.servers.start]
    return Bucket(bucket.grad[piece], bucket.params[piece], bucket.index, bucket.start + piece.start)


def _reply(ctx: Context, weights: Vector, workers: Iterable[int]) -> None:
    """Lend the parameters. BSP writes to them only when all workers have pushed again, so have read them."""
    for worker in workers:
        ctx.lend(worker, weights)
