"""How long a step of a model takes here without other ranks, measured in a process of its own, because of torch."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigError
from common.runtime.job import Job
from experiments.launch.job_folder import private_folder
from experiments.launch.rank_process import die_with_the_agent

STEPS = 4  # of one worker; the first is not counted
DEADLINE = 300.0  # seconds for all jobs together: the data may have to be fetched first


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


def main() -> None:
    """Read jobs from standard input and answer on standard output. The process ends when its parent does."""
    die_with_the_agent(Path(tempfile.gettempdir()) / "step_timing")
    try:
        steps = [_one_step(Job.from_dict(values)) for values in json.load(sys.stdin)]
    except ConfigError as error:
        sys.exit(str(error))
    json.dump(steps, sys.stdout)


if __name__ == "__main__":
    main()
