"""Stage 5, model synchronisation: the strategy, bucket by bucket. The only stage that differs between runs."""

import contextlib
from collections.abc import Sequence
from typing import Protocol

from common.context import Context
from common.models.flat import FlatModel
from common.pipeline.buckets import make_buckets
from common.pipeline.engine import engine_traits
from common.pipeline.overlap import Overlapped
from common.strategy import SyncStrategy


class Synchronizer(Protocol):
    """Decides when buckets are synchronised. Each step calls `with backward(): train(...)`, then `wait()`."""

    def backward(self) -> contextlib.AbstractContextManager[None]:
        """Wrap stage 4."""

    def wait(self) -> float:
        """Block until every bucket is synchronised; returns the seconds of synchronisation hidden by stage 4."""

    def close(self) -> None:
        """Release threads and hooks. Does not raise if the worker has failed."""


class AfterBackward:
    """Synchronises every bucket in the calling thread when backward is over."""

    def __init__(self, ctx: Context, strategy: SyncStrategy, model: FlatModel, pieces: Sequence[slice]) -> None:
        self.ctx, self.strategy = ctx, strategy
        self.buckets = make_buckets(model.grad, model.params, pieces, model.rows)

    def backward(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def wait(self) -> float:
        for bucket in self.buckets:
            self.ctx.place.bucket = bucket.index
            self.strategy.synchronize(self.ctx, bucket)
        self.ctx.place.bucket = 0
        return 0.0

    def close(self) -> None:
        """Nothing to release."""


def synchronizer(
    ctx: Context, strategy: SyncStrategy, model: FlatModel, pieces: Sequence[slice], overlap: str
) -> Synchronizer:
    """Return the synchronizer for `overlap` "on" or "off"; overlap is used only where it can hide something.

    A single bucket is full only when backward is over. Without peers or without synchronisation nothing waits.
    Parameters are exchanged after stage 6, which needs the whole gradient. A strategy that wraps stage 4 overlaps by
    itself.
    """
    traits = strategy.traits
    useful = len(pieces) > 1 and ctx.size > 1 and traits.consistency != "none" and traits.exchanges == "gradients"
    useful = useful and engine_traits(traits).synchronizes_in == "synchronize"
    make = Overlapped if overlap == "on" and useful else AfterBackward
    return make(ctx, strategy, model, pieces)
