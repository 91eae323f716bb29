"""Stage 5, model synchronisation: the strategy, bucket by bucket. The only stage that differs between runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from common.context import Context
from common.models.flat import FlatModel
from common.pipeline.buckets import make_buckets
from common.pipeline.overlap import Overlapped
from common.strategy import SyncStrategy


class Synchronizer(Protocol):
    """When the buckets are synchronised. `with backward(): train(...)`, then `wait()`, step after step."""

    def backward(self) -> contextlib.AbstractContextManager[None]:
        """Around stage 4."""

    def wait(self) -> float:
        """Stage 5: block until every bucket is synchronised; returns the seconds of it that stage 4 has hidden."""

    def close(self) -> None:
        """Let go of what it holds. Does not raise if the worker has failed."""


class AfterBackward:
    """Every bucket when backward is over, in the calling thread."""

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
        """Holds nothing."""


def synchronizer(
    ctx: Context, strategy: SyncStrategy, model: FlatModel, pieces: Sequence[slice], overlap: str
) -> Synchronizer:
    """`overlap` is "on" or "off"; on, it is used where there is something to hide and something to hide it behind.

    One bucket is full when backward is over; without peers, or without synchronisation, there is nothing to wait for;
    parameters are exchanged after stage 6, which needs the whole gradient; who wraps stage 4 overlaps by itself.
    """
    traits = strategy.traits
    useful = len(pieces) > 1 and ctx.size > 1 and traits.consistency != "none" and traits.exchanges == "gradients"
    useful = useful and type(strategy).wrap is SyncStrategy.wrap
    make = Overlapped if overlap == "on" and useful else AfterBackward
    return make(ctx, strategy, model, pieces)
