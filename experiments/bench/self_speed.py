"""Measurements of this project's own speed (`make bench`); `syncbench bench` measures its exchanges.

recorder  seconds to write a row, against the mean step of a run
virtual   real seconds of a ring of many ranks in virtual time
start     seconds until --help, list and bad usage have answered
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from allreduce.ring import ring
from common.context import Context
from common.types import Array


def recorder_share() -> None:
    """Print the seconds of one row, and the step of which they are 1 %."""
    from common.records.recorder import Recorder, StepRecord
    from common.records.stage_clock import STAGES

    seconds = dict.fromkeys(STAGES, 0.000123456789)
    record = StepRecord(100, "worker", 0, 1.23456789, 1.23567891, seconds, 0.0123456789, ["0" * 32])
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder, "rows.jsonl"))
        began = time.perf_counter()
        for _ in range(10_000):
            recorder.write(record)
        row_seconds = (time.perf_counter() - began) / 10_000
        recorder.close()
    print(f"recorder: {1e6 * row_seconds:.1f} µs a row: 1 % of a step of {100e3 * row_seconds:.2f} ms")


def virtual_ring() -> None:
    """Print the real seconds of a ring in virtual time."""
    from common.simulate import simulate
    from common.transport.virtual.network import Network

    for ranks in (256, 1024):
        x = np.ones((ranks, ranks), np.float32)
        began = time.perf_counter()
        outcome = simulate(partial(_ring_row, x), ranks, network=Network(latency=1e-5, bandwidth=1e9))
        real = time.perf_counter() - began
        print(f"virtual: a ring of {ranks} ranks takes {real:.1f} s ({1e3 * outcome.seconds:.1f} ms of virtual time)")


def _ring_row(x: Array, ctx: Context) -> None:
    ring(ctx, x[ctx.rank])
    ctx.settle()


def start_up() -> None:
    """Print the median seconds of commands that only answer."""
    for words in (["--help"], ["list"], ["run", "--strategy", "rign"]):
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "experiments", *words], capture_output=True, check=False)
            seconds.append(time.perf_counter() - began)
        print(f"start-up: syncbench {' '.join(words)} answers in {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    start_up()
    recorder_share()
    virtual_ring()
