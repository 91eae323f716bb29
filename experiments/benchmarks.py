"""What this project's own speed is measured by: `make bench`. Ratios within one run, since machines differ and drift.

ring      our ring over ipc and tcp against gloo's all-reduce, the same ranks taking turns
recorder  its share of a training step
virtual   real seconds for a ring of many ranks in virtual time
start     seconds until --help, list and bad usage have answered
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from common.context import Array, Context, Place
from experiments.agent import MALLOC

SIZES = {"4 KiB": 1 << 12, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "25 MiB": 25 << 20}
DEADLINE = 60.0
AllReduceCall = Callable[[Array], object]


def ring_against_gloo(workers: int = 4, repeats: int = 7) -> None:
    """A table of median milliseconds and the ratio gloo / ours: above 1, ours is faster."""
    os.environ.update({**MALLOC, "OMP_NUM_THREADS": "1"})
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="syncbench-bench-") as folder:
        ranks = [spawn.Process(target=_bench_rank, args=(rank, workers, folder, repeats)) for rank in range(workers)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
    if any(rank.exitcode for rank in ranks):
        sys.exit("a rank of the benchmark failed")


def _bench_rank(rank: int, workers: int, folder: str, repeats: int) -> None:
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/gloo", rank=rank, world_size=workers)
    contexts = {name: _context(rank, workers, Path(folder, name)) for name in ("ipc", "tcp")}
    contestants: dict[str, AllReduceCall] = {"gloo": lambda x: distributed.all_reduce(torch.from_numpy(x))}
    contestants |= {name: partial(_ring, context) for name, context in contexts.items()}
    if rank == 0:
        print(f"ring of {workers} workers against gloo, median of {repeats} repeats, interleaved; ms (gloo / ours)")
    for label, nbytes in SIZES.items():
        median = _race(contestants, contexts["ipc"], nbytes, repeats)
        if rank == 0:
            ours = [f"{name} {1e3 * median[name]:8.2f} ({median['gloo'] / median[name]:.2f})" for name in contexts]
            print(f"  {label:>7}  gloo {1e3 * median['gloo']:8.2f}   " + "   ".join(ours), flush=True)
    for context in contexts.values():
        context.barrier()
        context.endpoint.close(linger=2.0)
    distributed.destroy_process_group()


def _context(rank: int, workers: int, home: Path) -> Context:
    """A rank's context over the transport that `home` is named after."""
    from common.transport.connect import connect

    home.mkdir(exist_ok=True)
    return Context(connect(home.name, Place(rank), workers, home, job=1, deadline=DEADLINE), workers=workers)


def _ring(ctx: Context, x: Array) -> None:
    from allreduce.ring import ring

    ring(ctx, x)
    ctx.settle()


def _race(contestants: dict[str, AllReduceCall], ctx: Context, nbytes: int, repeats: int) -> dict[str, float]:
    """Median seconds of each contestant's all-reduce of `nbytes`, taking turns; every result is checked."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    x = np.ones(nbytes // 4, np.float32)
    for repeat in range(repeats + 1):
        for name, all_reduce in contestants.items():
            seconds = []
            for _ in range(max(3, min(100, (100 << 20) // nbytes))):
                x.fill(1)
                ctx.barrier()
                began = time.perf_counter()
                all_reduce(x)
                seconds.append(time.perf_counter() - began)
                assert x[0] == x[-1] == ctx.size, f"{name} is wrong"
            if repeat:  # the first is the warm-up
                times[name].append(statistics.median(seconds))
    return {name: statistics.median(samples) for name, samples in times.items()}


def recorder_share() -> None:
    """Seconds of one row against the mean step of a run."""
    from common.recorder import Recorder, StepRecord
    from common.stages import STAGES

    seconds = dict.fromkeys(STAGES, 0.000123456789)
    record = StepRecord(100, "worker", 0, 1.23456789, 1.23567891, seconds, 0.0123456789, ["0" * 32])
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder, "rows.jsonl"))
        began = time.perf_counter()
        for _ in range(10_000):
            recorder.write(record)
        each = (time.perf_counter() - began) / 10_000
        recorder.close()
    print(f"recorder: {1e6 * each:.1f} µs a row: 1 % of a step of {100e3 * each:.2f} ms")


def virtual_ring() -> None:
    """Real seconds of a ring in virtual time."""
    from common.transport.virtual import Network, simulate

    for ranks in (256, 1024):
        x = np.ones((ranks, ranks), np.float32)
        began = time.perf_counter()
        outcome = simulate(partial(_ring_row, x), ranks, network=Network(latency=1e-5, bandwidth=1e9))
        real = time.perf_counter() - began
        print(f"virtual: a ring of {ranks} ranks takes {real:.1f} s ({1e3 * outcome.seconds:.1f} ms of virtual time)")


def _ring_row(x: Array, ctx: Context) -> None:
    _ring(ctx, x[ctx.rank])


def start_up() -> None:
    """Median seconds of a command that only answers."""
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
    ring_against_gloo()
    virtual_ring()
