"""Roughly how long a sweep will take: estimated from one worker's step on this machine, then from runs that ended.

A step is measured in a process of its own, which imports torch: this module is its program.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from common.errors import ConfigError
from common.pipeline.straggler import jitter, slow_workers
from common.runtime.job import Job
from common.runtime.placement import ranks_by_process
from common.strategy import Link
from experiments.config import Plan
from experiments.config.strategies import create
from experiments.launch.job_folder import private_folder
from experiments.launch.rank_process import die_with_the_agent
from experiments.machine.environment import cores
from experiments.sweep.grid import Cell, Turn

# Orders of magnitude on one host, where ranks take turns on the cores.
LINK = Link(alpha=1e-4, beta=1e-9, gamma=2.5e-10)
START, START_OF_RANK = 0.15, 0.05  # seconds, from the order to the first step, and until all have ended
START_OF_SWEEP, START_OF_MPIRUN = 4.0, 2.0
STEPS = 4  # that are measured; the first is not counted
DEADLINE = 300.0  # seconds for all measurements together: the data may have to be fetched first
MEASURED = ("seed", "data", "model", "hidden", "partition", "preprocess", "sparse", "threads", "deadline")


def measure(jobs: Sequence[Job]) -> list[tuple[float, int]]:
    """Return the seconds of a step and the bytes of the gradient of each job. Blocks. Raises ConfigError."""
    with private_folder() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__],
                input=json.dumps([job.to_dict() for job in jobs]),
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                env={**os.environ, "TMPDIR": str(folder)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"a few steps of these models took more than {DEADLINE:g} s: give smaller ones") from None
    if done.returncode:
        *_, reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigError(f"a first step could not be trained: {reason}")
    return [(seconds, nbytes) for seconds, nbytes in json.loads(done.stdout)]


def _one_step(job: Job) -> tuple[float, int]:
    """Return the seconds of a step and the bytes of the gradient: virtual endpoints, but a real clock."""
    import torch

    from allreduce.noop import Single
    from common.context import Context
    from common.pipeline.update import FlatOptimizer
    from common.pipeline.worker import Worker
    from common.records.recorder import StepRecord
    from common.records.stage_clock import StageClock
    from common.simulate import simulate

    records: list[StepRecord] = []
    size = 0

    def program(ctx: Context) -> None:
        nonlocal size
        worker = Worker(job, ctx, Single(), StageClock(time.perf_counter))
        size = worker.model.size
        worker.run(records.append)

    torch.set_num_threads(job.threads)
    simulate(program, 1, optimizer=lambda params: FlatOptimizer(job.optimizer, params))
    return min(sum(record.seconds.values()) for record in records[1:]), 4 * size


def seconds_by_cell(
    cells: Sequence[Cell], measure: Callable[[Sequence[Job]], Sequence[tuple[float, int]]] = measure
) -> dict[str, float]:
    """Return roughly the seconds of a run of each cell, by id, from a few trained steps. Blocks. ConfigError."""
    alone = {cell.id: _alone(cell.plan) for cell in cells}
    keys = {name: json.dumps(job.to_dict()) for name, job in alone.items()}
    distinct = {keys[name]: job for name, job in alone.items()}
    steps = dict(zip(distinct, measure(list(distinct.values())), strict=True))
    return {cell.id: _seconds(cell.plan, *steps[keys[cell.id]]) for cell in cells}


def _alone(plan: Plan) -> Job:
    """Return the job that one process of the plan does, by itself and without delays."""
    job = plan.job
    optimizer = dataclasses.replace(job.optimizer, schedule="constant", warmup=0)
    same = {name: getattr(job, name) for name in MEASURED}
    return Job("single", 1, 0, job.batch // plan.processes, STEPS, optimizer=optimizer, overlap="off", **same)


def _seconds(plan: Plan, step: float, nbytes: int) -> float:
    """Return the seconds of one run: its start, and for each step the training on shared cores and the exchange."""
    job = plan.job
    if job.transport == "virtual":  # one process, one rank after the other
        return START + START_OF_RANK + job.steps * job.workers * step
    processes = len(ranks_by_process(plan.processes, job.servers, job.placement))
    busy = step * max(1.0, plan.processes * job.threads / cores())
    drawn, slow = jitter(job.jitter), slow_workers(job.slow_worker)
    late = fmean(drawn.values) if drawn else 0.0
    factors = [slow.get(worker, 1.0) for worker in range(job.workers)]
    if plan.processes == 1:  # it does the parts of all workers
        trained, exchanged = max(busy, job.train_seconds * sum(factors)) + late * job.workers, 0.0
    else:
        trained = max(busy, job.train_seconds * max(factors)) + late
        exchanged = _exchange(job, nbytes) * max(1.0, processes / cores())
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
        self._took: defaultdict[str, list[float]] = defaultdict(list)

    def learn(self, cell: str, seconds: float) -> None:
        """Note the seconds that a run of this cell took."""
        self._took[cell].append(seconds)

    def left(self, turns: Sequence[Turn]) -> float:
        """Return the seconds that all of these turns will take."""
        estimated = sum(self._estimates[cell] * len(each) for cell, each in self._took.items())
        pace = sum(map(sum, self._took.values())) / estimated if estimated else 1.0
        means = {cell: fmean(each) for cell, each in self._took.items()}
        return sum(means.get(cell.id, self._estimates[cell.id] * pace) for cell, _ in turns)


def duration(seconds: float) -> str:
    """Return `40 s`, `8 min` or `1 h 20 min`: no more digits than a forecast has."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def main() -> None:
    """Read jobs from standard input and answer on standard output. The process ends when its parent does."""
    die_with_the_agent(Path(tempfile.gettempdir()) / "estimate")
    try:
        steps = [_one_step(Job.from_dict(values)) for values in json.load(sys.stdin)]
    except ConfigError as error:
        sys.exit(str(error))
    json.dump(steps, sys.stdout)


if __name__ == "__main__":
    main()
