"""The worker's side of the parameter server (Li et al., OSDI 2014): push the gradient, pull the parameters.

steps       2
bytes sent  M by every worker; n·M/S by each of S servers
time        2α + 2·max(1, n/S)·Mβ + (n/S)·Mγ: with few servers their links are the bottleneck (*incast*)
"""

from __future__ import annotations

from collections.abc import Sequence

from common.context import EMPTY, Context
from common.strategy import Bucket, Link, SyncStrategy, Traits, Vector
from ps.comeback import fetch
from ps.consistency import BSP
from ps.server import serve
from ps.sharding import even


class PsBsp(SyncStrategy):
    """Parameter server, bulk synchronous: servers sum the gradients in rank order and update their shards."""

    traits = Traits(update="server", servers=True, on_server_death="rollback")

    def setup(self, ctx: Context, params: Vector) -> None:
        """Worker 0's parameters become the servers', and everybody pulls them.

        Each server gets the whole vector, as its piece of every bucket is all over it, and answers with its slice.
        When a server has come back, all have their parameters already.
        """
        if ctx.resumed:
            fetch(ctx, params)
            return
        if ctx.rank == 0:
            for server in ctx.servers:
                ctx.lend(server, params)
            ctx.settle()  # the first answer will be written to what the others have not read yet
        self._pull(ctx, params)

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Leave the new parameters in `bucket.params`. What was lent is read before the server answers."""
        self._push(ctx, bucket.grad)
        self._pull(ctx, bucket.params)

    def serve(self, ctx: Context, params: Vector, buckets: Sequence[Bucket]) -> None:
        """Serve a shard of every bucket until all workers have finished."""
        serve(ctx, params, buckets, BSP())

    def finish(self, ctx: Context) -> None:
        """Tell the servers that this worker pushes no more."""
        for server in ctx.servers:
            ctx.send(server, EMPTY)

    def _push(self, ctx: Context, vector: Vector) -> None:
        for server, piece in zip(ctx.servers, even(vector.size, len(ctx.servers)), strict=True):
            ctx.lend(server, vector[piece])

    def _pull(self, ctx: Context, vector: Vector) -> None:
        for server, piece in zip(ctx.servers, even(vector.size, len(ctx.servers)), strict=True):
            ctx.recv_into(server, vector[piece])

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        if rank < workers:
            return size * itemsize
        return workers * len(range(size)[even(size, servers)[rank - workers]]) * itemsize

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        load = workers / servers
        return 2 * link.alpha + 2 * max(1.0, load) * nbytes * link.beta + load * nbytes * link.gamma
