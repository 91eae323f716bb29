"""No synchronisation: every worker trains on its own. Wrong, and as fast as possible: the ceiling."""

from __future__ import annotations

from allreduce.broadcast import broadcast
from common.context import Context
from common.strategy import Bucket, Link, SyncStrategy, Traits
from common.types import Vector


class Noop(SyncStrategy):
    """No synchronisation at all: the ceiling of every comparison; the replicas drift apart."""

    traits = Traits(consistency="none", replicas_equal=False)

    def setup(self, ctx: Context, params: Vector) -> None:
        """Give every worker the parameters of worker 0."""
        broadcast(ctx, params)
        ctx.settle()

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Do nothing."""

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        return 0

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        return 0.0
