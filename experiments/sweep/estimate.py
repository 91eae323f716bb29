"""Roughly how long a sweep will take: estimated from one worker's step on this machine, then from runs that ended."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence

from common.pipeline.straggler import jitter, slow_workers
from common.runtime.job import Job
from common.runtime.placement import ranks_by_process
from common.strategy import Link
from experiments.config import Plan
from experiments.config.strategies import create
from experiments.machine.environment import cores
from experiments.sweep import step_timing
from experiments.sweep.grid import Cell, Turn

# Orders of magnitude on one host, where ranks take turns on the cores.
LINK = Link(alpha=1e-4, beta=1e-9, gamma=2.5e-10)
START, START_OF_RANK = 0.15, 0.05  # seconds, from the order to the first step, and until all have ended
START_OF_SWEEP, START_OF_MPIRUN = 4.0, 2.0
WORK = ("seed", "data", "model", "hidden", "partition", "preprocess", "sparse", "threads", "deadline")
Measure = Callable[[Sequence[Job]], Sequence[tuple[float, int]]]  # seconds of a step, and bytes of its gradient


def seconds_by_cell(cells: Sequence[Cell], measure: Measure = step_timing.measure) -> dict[str, float]:
    """Return roughly the seconds of a run of each cell, by id, from a few trained steps. Blocks. ConfigError."""
    alone = {cell.id: _alone(cell.plan) for cell in cells}
    keys = {name: json.dumps(job.to_dict()) for name, job in alone.items()}
    distinct = {keys[name]: job for name, job in alone.items()}
    steps = dict(zip(distinct, measure(list(distinct.values())), strict=True))
    return {cell.id: _seconds(cell.plan, *steps[keys[cell.id]]) for cell in cells}


def _alone(plan: Plan) -> Job:
    """Return the job that one process of the plan does, by itself and without delays."""
    job = plan.job
    return Job(
        strategy="single",
        workers=1,
        servers=0,
        batch=job.batch // plan.processes,
        steps=step_timing.STEPS,
        optimizer=dataclasses.replace(job.optimizer, schedule="constant", warmup=0),
        overlap="off",
        **{name: getattr(job, name) for name in WORK},
    )


def _seconds(plan: Plan, step: float, nbytes: int) -> float:
    """Return the seconds of one run: its start, and for each step the training on shared cores and the exchange."""
    job = plan.job
    if job.transport == "virtual":  # one process, one rank after the other
        return START + START_OF_RANK + job.steps * job.workers * step
    processes = len(ranks_by_process(plan.processes, job.servers, job.placement))
    busy = step * max(1.0, plan.processes * job.threads / cores())
    drawn = jitter(job.jitter)
    late = sum(drawn.values) / len(drawn.values) if drawn else 0.0
    factors = slow_workers(job.slow_worker)
    if plan.processes == 1:  # it does the parts of all workers
        asked = job.train_seconds * sum(factors.get(worker, 1.0) for worker in range(job.workers))
        late *= job.workers
    else:
        asked = job.train_seconds * max(factors.values(), default=1.0)
    trained = max(busy, asked) + late
    exchanged = 0.0 if plan.processes == 1 else _exchange(job, nbytes) * max(1.0, processes / cores())
    start = START + START_OF_RANK * processes + (START_OF_MPIRUN if plan.traits.launcher == "mpi" else 0.0)
    return start + job.steps * (trained + exchanged)


def _exchange(job: Job, nbytes: int) -> float:
    """Return the seconds of one exchange by the strategy's formula; without one, those of a plain all-reduce."""
    found = create(job.strategy, job.strategy_options).seconds(job.workers, job.servers, nbytes, LINK)
    return 2 * (job.workers - 1) * LINK.alpha + 2 * nbytes * LINK.beta if found is None else found


def whole(seconds: Mapping[str, float], repeats: int) -> float:
    """Return the seconds of a sweep whose cells take `seconds` each time."""
    return START_OF_SWEEP + sum(seconds.values()) * repeats


class Forecast:
    """A forecast of the rest. It begins with `estimates` in seconds, by cell, and learns from every run that ends."""

    def __init__(self, estimates: Mapping[str, float]) -> None:
        self._estimates = estimates
        self._took: dict[str, list[float]] = {}

    def learn(self, cell: str, seconds: float) -> None:
        """Note the seconds that a run of this cell took."""
        self._took.setdefault(cell, []).append(seconds)

    def left(self, turns: Sequence[Turn]) -> float:
        """Return the seconds that all of these turns will take."""
        took = sum(map(sum, self._took.values()))
        estimated = sum(self._estimates[cell] * len(each) for cell, each in self._took.items())
        pace = took / estimated if estimated else 1.0
        means = {cell: sum(each) / len(each) for cell, each in self._took.items()}
        return sum(means.get(cell.id, self._estimates[cell.id] * pace) for cell, _ in turns)


def duration(seconds: float) -> str:
    """Return `40 s`, `8 min` or `1 h 20 min`: no more digits than a forecast has."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
