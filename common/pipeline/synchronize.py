"""Stage 5, model synchronisation: the strategy, bucket by bucket. The only stage that differs between runs."""

from __future__ import annotations

from collections.abc import Sequence

from common.context import Context
from common.models.flat import FlatModel
from common.strategy import Bucket, SyncStrategy


def buckets(model: FlatModel) -> list[Bucket]:
    """The flat gradient and parameters as the buckets to synchronise: one, the whole."""
    return [Bucket(model.grad, model.params)]


def synchronize(ctx: Context, strategy: SyncStrategy, pieces: Sequence[Bucket]) -> None:
    """Let the strategy synchronise every bucket, in order. Blocks."""
    for bucket in pieces:
        ctx.place.bucket = bucket.index
        strategy.synchronize(ctx, bucket)
    ctx.place.bucket = 0
