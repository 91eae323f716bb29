"""Measurements of this project's own speed (`make bench`); `syncbench bench` measures its exchanges."""

import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import numpy as np

from allreduce.ring import ring
from common.context import Context
from common.records.recorder import Recorder, StepRecord
from common.records.stage_clock import STAGES
from common.simulate import simulate
from common.transport.virtual.network import Network

ROWS = 10_000


def start_up(*words: str) -> None:
    """Print the median seconds of a command that only answers."""
    command = [sys.executable, "-m", "experiments", *words]
    times = timeit.repeat(lambda: subprocess.run(command, capture_output=True, check=False), number=1)
    print(f"start-up: syncbench {' '.join(words)} answers in {statistics.median(times):.2f} s")


def recorder_share() -> None:
    """Print the seconds of one row, and the step of which they are 1 %."""
    times = dict.fromkeys(STAGES, 0.000123456789)
    record = StepRecord(100, "worker", 0, 1.23456789, 1.23567891, times, 0.0123456789, ["0" * 32])
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder, "rows.jsonl"))
        row = timeit.timeit(lambda: recorder.write(record), number=ROWS) / ROWS
        recorder.close()
    print(f"recorder: {1e6 * row:.1f} µs a row: 1 % of a step of {100e3 * row:.2f} ms")


def virtual_ring(ranks: int) -> None:
    """Print the real seconds of a ring in virtual time."""

    def program(ctx: Context) -> None:
        ring(ctx, np.ones(ranks, np.float32))
        ctx.settle()

    network = Network(latency=1e-5, bandwidth=1e9)
    began = time.perf_counter()
    virtual = simulate(program, ranks, network=network).seconds
    real = time.perf_counter() - began
    print(f"virtual: a ring of {ranks} ranks takes {real:.1f} s ({1e3 * virtual:.1f} ms of virtual time)")


if __name__ == "__main__":
    for words in (["--help"], ["list"], ["run", "--strategy", "rign"]):
        start_up(*words)
    recorder_share()
    for ranks in (256, 1024):
        virtual_ring(ranks)
