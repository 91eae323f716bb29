"""What computing costs in virtual time: measured once before the job, or given by the user.

Measured are the stages of a worker, as medians over a few steps of a lone worker; adding up, per byte; and a server's
update, by size. With `--train-seconds`, stage `train` lasts so long and nothing else that is computed takes time: the
same seed gives the same seconds.
"""

import time
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from types import TracebackType

import numpy as np

from allreduce.noop import Noop, Single
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

STEPS, WARMUP = 25, 5  # steps that are measured, and how many of them do not count
TIMES = 5  # how often anything else is measured
OWED = {"load": ("partition", "preprocess", "load"), "update": ("update",)}  # costs to pay when leaving a stage
ROWS = 256  # rows of a table, to measure the update of one


@dataclass
class Costs:
    """Seconds. `stages` are those of a worker in one step; `reduce` is for adding up one byte."""

    stages: Mapping[str, float]
    reduce: float = 0.0
    measured: bool = False
    _updates: dict[tuple[OptimizerSpec, int], float] = field(default_factory=dict)  # by parameters
    _rows: dict[tuple[OptimizerSpec, int], float] = field(default_factory=dict)  # by columns

    def update(self, spec: OptimizerSpec, size: int) -> float:
        """Return the seconds of a server's update of `size` parameters. Measures it the first time."""
        if self.measured and (spec, size) not in self._updates:
            grad, optimizer = np.zeros(size, np.float32), FlatOptimizer(spec, np.zeros(size, np.float32))
            self._updates[spec, size] = _median(lambda: optimizer.step(grad))
        return self._updates.get((spec, size), 0.0)

    def row_update(self, spec: OptimizerSpec, width: int) -> float:
        """Return the seconds of a server's update of one row of `width` columns. Measures it the first time."""
        if self.measured and (spec, width) not in self._rows:
            optimizer = FlatOptimizer(spec, np.zeros(4 * ROWS * width, np.float32))
            rows = Rows(width, np.arange(ROWS) * 4, np.zeros((ROWS, width), np.float32))
            self._rows[spec, width] = _median(lambda: optimizer.step_rows(rows)) / ROWS
        return self._rows.get((spec, width), 0.0)


def costs_of(job: Job, traits: Traits, dataset: Dataset) -> Costs:
    """Return what the user gave, or else what is measured now. Blocks; raises what a worker of the job raises."""
    stages = dict.fromkeys(STAGES, 0.0)
    if job.train_seconds:
        return Costs({**stages, "train": job.train_seconds})
    stages.update(_measured(job, traits, dataset))
    if traits.update == "server":
        stages["update"] = 0.0
    chunk = np.zeros(1 << 16, np.float32)
    return Costs(stages, _median(lambda: np.add(chunk, chunk, chunk)) / chunk.nbytes, measured=True)


def _measured(job: Job, traits: Traits, dataset: Dataset) -> dict[str, float]:
    """Return medians over the steps of worker 0 alone, on a clock of real time."""
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
    _, *seconds = timeit.repeat(act, number=1, repeat=TIMES + 1)  # the first call makes what later ones use
    return median(seconds)


class CostlyClock(StageClock):
    """A worker's stage clock in virtual time, in which the stages load and update take what they cost, at their end."""

    def __init__(
        self,
        now: Callable[[], float],
        enter: Callable[[str], None],
        sleep: Callable[[float], None],
        costs: Mapping[str, float],
    ) -> None:
        super().__init__(now, enter)
        self._sleep, self._costs = sleep, costs

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and len(self._stack) == 1:
            for stage in OWED.get(self._stack[0], ()):
                if self._costs[stage]:
                    self._charge()
                    self._stack.append(stage)
                    self._sleep(self._costs[stage])
                    self._charge()
                    self._stack.pop()
        super().__exit__(kind, error, trace)


class CostlyOptimizer(FlatOptimizer):
    """A server's optimizer in virtual time: an update takes what it costs."""

    def __init__(self, spec: OptimizerSpec, params: Vector, sleep: Callable[[float], None], costs: Costs) -> None:
        super().__init__(spec, params)
        self._sleep, self._costs = sleep, costs

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        super().step(grad, at, damping)
        self._sleep(self._costs.update(self._spec, self.size))

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        super().step_rows(rows, at, damping)
        self._sleep(len(rows.index) * self._costs.row_update(self._spec, rows.width))
