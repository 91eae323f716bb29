"""Stragglers: workers whose stage 4 is made to last longer, in the same way for every strategy.

A straggler sleeps; it does not compute. With more ranks than cores, extra computation would slow the other ranks down.
It sleeps before forward, so no bucket of the gradient leaves early, whether synchronisation waits for the end of
backward, runs beside it, or belongs to an engine. The step before tells how long to sleep. A real slow machine would
also stretch its backward: with overlap it could hide a little more than ours.

    stage 4 of worker w in step k  =  factor_w · max(floor, t) + jitter(w, k),   t = computing time of the step before

So over all steps the sum is factor times the computing time, one step late. The very first step, which includes work
done only once, is not lengthened by the factor unless a floor is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from common.context import Context

if TYPE_CHECKING:
    from common.models.flat import FlatModel
    from common.pipeline.load import Batch
    from common.pipeline.train import Train
    from common.runtime.job import Job

_JITTER = 2  # number of the random stream under the seed
DISTRIBUTIONS = {"exponential": "exponential:MEAN", "uniform": "uniform:LOW,HIGH"}


@dataclass(frozen=True, slots=True)
class Jitter:
    """Seconds drawn anew for each worker and step: `exponential` with a mean, or `uniform` between two bounds."""

    name: str
    values: tuple[float, ...]

    def draw(self, seed: int, worker: int, step: int) -> float:
        """Return seconds, at least 0: a pure function of its arguments."""
        generator = np.random.default_rng((seed, _JITTER, worker, step))
        return float(getattr(generator, self.name)(*self.values))


def jitter(text: str) -> Jitter | None:
    """Parse `exponential:0.01` or `uniform:0,0.02`, in seconds; None for the empty text. ValueError, one line."""
    if not text:
        return None
    name, _, rest = text.partition(":")
    try:
        values = tuple(float(value) for value in rest.split(","))
    except ValueError:
        values = ()
    if name not in DISTRIBUTIONS or len(values) != (2 if name == "uniform" else 1):
        raise ValueError(f"{text!r} is not {' or '.join(DISTRIBUTIONS.values())}, in seconds")
    if not all(math.isfinite(value) and value >= 0 for value in values) or values[-1] < values[0]:
        raise ValueError(f"{text!r}: seconds are finite, not negative, and LOW is not above HIGH")
    return Jitter(name, values)


def slow_workers(text: str) -> dict[int, float]:
    """Parse `3:4` or `3:4,1:2` into factors of stage 4 by rank. ValueError, one line."""
    factors: dict[int, float] = {}
    for part in filter(None, text.split(",")):
        rank, _, factor = part.strip().partition(":")
        try:
            worker, times = int(rank), float(factor)
        except ValueError:
            raise ValueError(f"{part!r} is not RANK:FACTOR, like 3:4") from None
        if not (math.isfinite(times) and times >= 1):
            raise ValueError(f"{part!r}: the factor is 1 or more")
        if worker in factors:
            raise ValueError(f"worker {worker} is named twice")
        factors[worker] = times
    return factors


@dataclass(frozen=True, slots=True)
class StragglerModel:
    """How long stage 4 lasts: factors by worker (1 where not given), a least duration and jitter, both in seconds.

    A process that stands for several workers does the part of each of them, one after the other.
    """

    factors: Mapping[int, float] = field(default_factory=dict)
    floor: float = 0.0
    jitter: Jitter | None = None
    seed: int = 0

    @classmethod
    def of(cls, job: Job) -> StragglerModel:
        """Return the model that the job asks for. ValueError if its options are malformed."""
        return cls(slow_workers(job.slow_worker), job.train_seconds, jitter(job.jitter), job.seed)

    def seconds(self, workers: Iterable[int], step: int, computed: float) -> float:
        """Return the duration of stage 4 in `step` for a process that computes `computed` seconds for all `workers`."""
        workers = tuple(workers)
        part = max(self.floor, computed / len(workers))
        drawn = [self.jitter.draw(self.seed, worker, step) if self.jitter else 0.0 for worker in workers]
        return sum(self.factors.get(worker, 1.0) * part + late for worker, late in zip(workers, drawn, strict=True))

    def around(self, train: Train, ctx: Context, workers: Iterable[int]) -> Train:
        """Return stage 4 for a process that stands for `workers`: `train`, after a sleep where one is due.

        Time is the context's, so in virtual time, where computing takes none, only a floor or jitter lengthens it.
        """
        workers = tuple(workers)
        if not (self.floor or self.jitter or any(self.factors.get(worker, 1.0) > 1 for worker in workers)):
            return train
        computed = 0.0

        def slowed(model: FlatModel, batch: Batch) -> float:
            nonlocal computed
            ctx.sleep(self.seconds(workers, ctx.place.step, computed) - computed)
            began = ctx.now()
            loss = train(model, batch)
            computed = ctx.now() - began
            return loss

        return slowed
