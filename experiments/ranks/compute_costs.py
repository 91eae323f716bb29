"""What computing costs in virtual time: measured once, before the job, or what the user says.

Measured: a worker's stages, as the medians over a few steps of one worker with the core to itself, by the loop that
all workers run; adding up, by the byte; a server's update, by the size of what it updates. So the figures of a job
stay what they are from its first step to its last, however crowded the machine is. Where `--train-seconds` says how
long stage `train` lasts, nothing else that is computed takes any time: then the same seed gives the same seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np

from allreduce.noop import Noop
from allreduce.single import Single
from common.data.dataset import Dataset
from common.pipeline.engine import engine_traits
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker
from common.records.recorder import StepRecord
from common.records.stage_clock import STAGES, StageClock
from common.runtime.job import Job, OptimizerSpec
from common.simulate import simulate
from common.strategy import Traits
from common.types import Rows, Vector

STEPS, WARMUP = 25, 5  # steps that are measured, and those among them that do not count
TIMES = 5  # that anything else is measured
ROWS = 256  # of a table, to measure the update of a few


@dataclass
class Costs:
    """Seconds. `stages` are those of a worker in one step, `reduce` is for adding up one byte."""

    stages: Mapping[str, float]
    reduce: float = 0.0
    measured: bool = False
    _updates: dict[tuple[OptimizerSpec, int], float] = field(default_factory=dict)
    _rows: dict[tuple[OptimizerSpec, int], float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As it stands in the summary."""
        return {**self.stages, "reduce_per_byte": self.reduce, "measured": self.measured}

    def update(self, spec: OptimizerSpec, size: int) -> float:
        """Of a server's update of `size` parameters."""
        if not self.measured:
            return 0.0
        if (spec, size) not in self._updates:
            params, grad = np.zeros(size, np.float32), np.zeros(size, np.float32)
            rule = FlatOptimizer(spec, params)
            self._updates[spec, size] = _median(lambda: rule.step(grad))
        return self._updates[spec, size]

    def row_update(self, spec: OptimizerSpec, width: int) -> float:
        """Of a server's update of one row of a table of `width` columns, one of many."""
        if not self.measured:
            return 0.0
        if (spec, width) not in self._rows:
            rule = FlatOptimizer(spec, np.zeros(4 * ROWS * width, np.float32))
            rows = Rows(width, np.arange(ROWS) * 4, np.zeros((ROWS, width), np.float32))
            self._rows[spec, width] = _median(lambda: rule.step_rows(rows)) / ROWS
        return self._rows[spec, width]


def costs_of(job: Job, traits: Traits, dataset: Dataset) -> Costs:
    """What the user says, or else what is measured here and now. Blocks; raises what a worker of the job raises."""
    stages = dict.fromkeys(STAGES, 0.0)
    if job.train_seconds:
        return Costs({**stages, "train": job.train_seconds})
    stages.update(_measured(job, traits, dataset))
    if traits.update == "server":
        stages["update"] = 0.0
    chunk = np.zeros(1 << 16, np.float32)
    return Costs(stages, _median(lambda: np.add(chunk, chunk, chunk)) / chunk.nbytes, measured=True)


def _measured(job: Job, traits: Traits, dataset: Dataset) -> dict[str, float]:
    """Medians over the steps of worker 0 alone: `Worker`, on a watch that shows real time."""
    strategy = Single() if engine_traits(traits).one_process else Noop()
    alone = replace(job, servers=0, steps=min(STEPS, job.steps), slow_worker="", jitter="")
    records: list[StepRecord] = []
    clock = StageClock(time.perf_counter)
    outcome = simulate(
        lambda ctx: Worker(alone, ctx, strategy, clock, dataset=dataset).run(records.append), 1, check=False
    )
    counted = records[min(WARMUP, len(records) // 2) :]
    if not counted:
        outcome.raise_first()
    return {stage: median(record.seconds[stage] for record in counted) for stage in STAGES if stage != "synchronize"}


def _median(act: Callable[[], object]) -> float:
    act()  # the first call makes what later ones use
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


class CostlyClock(StageClock):
    """A worker's watch in virtual time: leaving stage 3 or 6 takes what it costs, and what is inside of it.

    All at once, when the stage is over: other ranks may run only then, not in the middle of foreign code. Stage 4 is
    the straggler's, who sleeps before it; stage 5 takes what it takes.
    """

    def __init__(
        self,
        now: Callable[[], float],
        enter: Callable[[str], None],
        sleep: Callable[[float], None],
        stages: Mapping[str, float],
    ) -> None:
        super().__init__(now, enter)
        self._sleep = sleep
        self._owed = {"load": ("partition", "preprocess", "load"), "update": ("update",)}
        self._costs = stages

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and len(self._stack) == 1:
            for stage in self._owed.get(self._stack[0], ()):
                self._pay(stage)
        super().__exit__(kind, error, trace)

    def _pay(self, stage: str) -> None:
        if not self._costs[stage]:
            return
        self._charge()
        self._stack.append(stage)
        self._sleep(self._costs[stage])
        self._charge()
        self._stack.pop()


class CostlyOptimizer(FlatOptimizer):
    """A server's update rule in virtual time: an update takes what it costs."""

    def __init__(self, spec: OptimizerSpec, params: Vector, sleep: Callable[[float], None], costs: Costs) -> None:
        super().__init__(spec, params)
        self._sleep, self._costs = sleep, costs

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        super().step(grad, at, damping)
        self._sleep(self._costs.update(self._spec, self.size))

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        super().step_rows(rows, at, damping)
        self._sleep(len(rows.index) * self._costs.row_update(self._spec, rows.width))
