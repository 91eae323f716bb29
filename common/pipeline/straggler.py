"""Stragglers: workers whose stage 4 is made to last longer than it takes, the same way for every strategy.

They sleep and do not burn: with more ranks than cores, a straggler that computes would slow down the others. They
sleep before forward, so that no bucket of the gradient leaves early, whether synchronisation waits for the end of
backward, runs beside it, or is an engine's within it; how long, they know from the step before. A real slow machine
would also spread out its backward: with overlap it could hide a little more than ours.

    stage 4 of worker w in step k  =  factor_w · max(floor, t) + jitter(w, k),   t = what the step before computed for

So summed up over the steps it lasts factor times what it would, one step later; the very first step, which pays for
what is only done once, is not lengthened by the factor unless there is a floor.
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

_JITTER = 2  # a random stream of its own under the job's seed; partition.py has 0 and 1
DISTRIBUTIONS = {"exponential": "exponential:MEAN", "uniform": "uniform:LOW,HIGH"}


@dataclass(frozen=True, slots=True)
class Jitter:
    """Seconds drawn anew for each worker and step: `exponential` with a mean, or `uniform` between two bounds."""

    name: str
    values: tuple[float, ...]

    def draw(self, seed: int, worker: int, step: int) -> float:
        """Seconds, at least 0: a pure function of its arguments."""
        generator = np.random.default_rng((seed, _JITTER, worker, step))
        return float(getattr(generator, self.name)(*self.values))


def jitter(text: str) -> Jitter | None:
    """`exponential:0.01` or `uniform:0,0.02`, in seconds; None for the empty text. ValueError with one clear line."""
    if not text:
        return None
    name, _, rest = text.partition(":")
    forms = " or ".join(DISTRIBUTIONS.values())
    try:
        values = tuple(float(value) for value in rest.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not {forms}, in seconds") from None
    if name not in DISTRIBUTIONS or len(values) != (2 if name == "uniform" else 1):
        raise ValueError(f"{text!r} is not {forms}, in seconds")
    if not all(math.isfinite(value) and value >= 0 for value in values) or values[-1] < values[0]:
        raise ValueError(f"{text!r}: seconds are finite, not negative, and LOW is not above HIGH")
    return Jitter(name, values)


def slow_workers(text: str) -> dict[int, float]:
    """`3:4` or `3:4,1:2`: by rank, how many times as long its stage 4 lasts. ValueError with one clear line."""
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
    """How long stage 4 lasts: by worker a factor (1 where none is given), a least duration, and jitter, in seconds.

    A process that stands for several workers does the part of each of them, one after the other.
    """

    factors: Mapping[int, float] = field(default_factory=dict)
    floor: float = 0.0
    jitter: Jitter | None = None
    seed: int = 0

    @classmethod
    def of(cls, job: Job) -> StragglerModel:
        """What the job asks for. ValueError if it is not well put."""
        return cls(slow_workers(job.slow_worker), job.train_seconds, jitter(job.jitter), job.seed)

    def seconds(self, workers: Iterable[int], step: int, computed: float) -> float:
        """Of stage 4 in `step`, if it computes for `computed` seconds: one process does the parts of all `workers`."""
        every = tuple(workers)
        part = max(self.floor, computed / len(every))
        return sum(self._one(worker, step, part) for worker in every)

    def _one(self, worker: int, step: int, seconds: float) -> float:
        drawn = self.jitter.draw(self.seed, worker, step) if self.jitter else 0.0
        return self.factors.get(worker, 1.0) * seconds + drawn

    def around(self, train: Train, ctx: Context, workers: Iterable[int]) -> Train:
        """Stage 4 for a process that stands for `workers`: `train`, or `train` after a sleep if there is one to make.

        Time is the context's, so in virtual time only a floor or jitter lengthens what takes no time.
        """
        mine = tuple(workers)
        if not (self.floor or self.jitter or any(self.factors.get(worker, 1.0) > 1 for worker in mine)):
            return train
        computed = 0.0

        def late(model: FlatModel, batch: Batch) -> float:
            nonlocal computed
            ctx.sleep(self.seconds(mine, ctx.place.step, computed) - computed)
            began = ctx.now()
            loss = train(model, batch)
            computed = ctx.now() - began
            return loss

        return late
