"""What tracing costs: the steps of one set of processes, in turns with tracing and without. Not a test: a measurement.

    python tests/trace_cost.py [--strategy ring] [--workers 2] [--transport shm] [--pairs 60] [--steps 20]

Each worker trains the mlp on digits as `run` does by default: a batch of 32, ring by default. Blocks of `steps` steps
alternate, traced first in every other pair, over one endpoint. Printed is the median over the pairs of traced by
untraced, as worker 0 sees it, with the 95 % bootstrap interval.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap

from common.context import Context
from common.data import describe, load
from common.models import build
from common.models.flat import FlatModel
from common.pipeline.train import train
from common.pipeline.update import FlatOptimizer
from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import clock_id
from common.runtime.job import OptimizerSpec
from common.strategy import Bucket
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.config.strategies import create
from experiments.ranks.trace_recorder import TraceRecorder, Untraced

BATCH = 32


def work(rank, home, asked, results):
    """One worker's life; the first leaves the ratio of each pair in `results`."""
    torch.set_num_threads(1)
    place = Place(rank)
    inner = connect(asked.transport, place, asked.workers, Path(home), job=1, deadline=60.0)
    info, data = describe("digits"), load("digits")
    model = FlatModel(build("mlp", info.shape, info.classes, (64,), 0, None, False), inner.alloc)
    batch = data.train_x[:BATCH].float(), data.train_y[:BATCH]
    optimizer, strategy = FlatOptimizer(OptimizerSpec(lr=0.0), model.params), create(asked.strategy, {})
    recorded = TraceRecorder(Path(home) / f"{rank}.npy", place, asked.workers, clock_id())

    def world(recording):
        meter = MeteredEndpoint(recording.endpoint(inner))
        return Context(meter, workers=asked.workers), recording.clock(StageClock, meter.now, place.enter)

    bucket = Bucket(model.grad, model.params)

    def block(ctx, clock):
        ctx.barrier()
        began = time.perf_counter()
        for _ in range(asked.steps):
            with clock("load"), clock("preprocess"):
                pass
            with clock("train"):
                train(model, batch)
            with clock("synchronize"):
                strategy.synchronize(ctx, bucket)
            with clock("update"):
                optimizer.step(model.grad)
        return time.perf_counter() - began

    plain, traced = world(Untraced()), world(recorded)
    strategy.setup(plain[0], model.params)
    ratios = []
    for pair in range(asked.pairs + 5):  # the first to warm up
        order = (traced, plain) if pair % 2 else (plain, traced)
        took = {id(each): block(*each) for each in order}
        ratios.append(took[id(traced)] / took[id(plain)])
    plain[0].barrier()
    inner.close(linger=5.0)
    if rank == 0:
        results.put((ratios[5:], 1e3 * took[id(plain)] / asked.steps, len(recorded.records())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("strategy", "ring"), ("workers", 2), ("transport", "shm"), ("pairs", 60), ("steps", 20)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    asked = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    with tempfile.TemporaryDirectory() as home:
        ranks = [
            spawn.Process(target=work, args=(rank, home, asked, results), daemon=True) for rank in range(asked.workers)
        ]
        for rank in ranks:
            rank.start()
        ratios, step, records = results.get(timeout=300)
        for rank in ranks:
            rank.join()
    found = bootstrap((np.array(ratios),), np.median, method="percentile", rng=0).confidence_interval
    words = f"{asked.strategy}, {asked.workers} workers, {asked.transport}"
    print(f"{words}: traced / untraced {np.median(ratios):.4f} [{found.low:.4f}, {found.high:.4f}]", end="")
    print(f" in {len(ratios)} pairs of {asked.steps} steps; a step {step:.2f} ms, {records} records")


if __name__ == "__main__":
    main()
