"""No synchronisation: the two ends of every comparison.

`Noop`: every worker trains on its own. Wrong, and as fast as possible: the ceiling. `Single`: one process trains on
the whole batch; every synchronous strategy must agree with it.
"""

from allreduce.broadcast import broadcast
from common.context import Context
from common.pipeline.engine import EngineTraits
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


class Single(Noop):
    """One process trains on the samples of all workers: the yardstick; nothing to synchronise."""

    traits = EngineTraits(one_process=True)
