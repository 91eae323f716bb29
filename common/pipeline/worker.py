"""The loop that every worker runs with every strategy: six stages a step, timed and recorded."""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from common.context import Context
from common.data import describe, load
from common.data.dataset import Dataset
from common.errors import FINISH, RunError
from common.models import build_for
from common.models.flat import FlatModel, sparse_rows
from common.pipeline.buckets import bucket_slices, make_buckets
from common.pipeline.engine import EngineStrategy, engine_traits
from common.pipeline.load import Batch, Samples, loader
from common.pipeline.partition import Batches, partition
from common.pipeline.preprocess import Transform, fit
from common.pipeline.straggler import StragglerModel
from common.pipeline.synchronize import Synchronizer, synchronizer
from common.pipeline.train import Train, accuracy, train
from common.pipeline.update import FlatOptimizer
from common.records.recorder import StepRecord
from common.records.stage_clock import StageClock
from common.runtime.job import Job
from common.strategy import SyncStrategy
from common.types import Vector

Observe = Callable[[StepRecord], None]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a worker. The first living worker measures `test_accuracy`, 0 … 1; it is None on the others."""

    params: Vector
    params_sha256: str
    test_accuracy: float | None


def flat_model(job: Job, ctx: Context) -> FlatModel:
    """Build the job's model in memory that the transport moves fastest; sets `ctx.tensors` to its tensors' sizes."""
    model = FlatModel(build_for(describe(job.data), job.model, job.hidden, job.seed, job.sparse), ctx.alloc)
    ctx.tensors = tuple(tensor.numel() for tensor in model.tensors)
    return model


def job_bucket_slices(job: Job, model: FlatModel) -> list[slice]:
    """Return the slices of the job's buckets in the flat vectors of its model: the same on all ranks."""
    return bucket_slices([tensor.numel() for tensor in model.tensors], job.bucket, model.table)


def serve(job: Job, ctx: Context, strategy: SyncStrategy) -> None:
    """Run a server for its whole life: build the workers' buckets and let the strategy serve them. Blocks.

    The vectors have the size of the model, but only the parts that the strategy touches use memory.
    """
    info = describe(job.data)  # before the device changes: it may run the user's code, which makes real tensors
    with torch.device("meta"):  # sizes alone: the values come from worker 0
        model = build_for(info, job.model, job.hidden, job.seed, job.sparse)
    ctx.tensors = sizes = [tensor.numel() for tensor in model.parameters()]
    rows = sparse_rows(model)
    table = sizes[0] if rows is not None else 0
    params, grad = ctx.alloc(sum(sizes), "float32"), ctx.alloc(sum(sizes) - table, "float32")
    strategy.serve(ctx, params, make_buckets(grad, params, bucket_slices(sizes, job.bucket, table), rows))


class Worker:
    """One worker: its data, its model and its loop, from step `start` on. `clock` times its stages."""

    def __init__(
        self,
        job: Job,
        ctx: Context,
        strategy: SyncStrategy,
        clock: StageClock,
        start: int = 0,
        dataset: Dataset | None = None,
    ) -> None:
        """Load the data, unless `dataset` is given; split it; build the model. Raises what these raise."""
        self.start = start
        self.job, self.ctx, self.strategy, self.clock = job, ctx, strategy, clock
        self.dataset: Dataset = load(job.data) if dataset is None else dataset
        with clock("preprocess"):
            transforms = fit(describe(job.data), self.dataset.train_x, job.preprocess)
        self.transform: Transform = transforms.test
        self.random_transform = transforms.train(job.seed, len(self.dataset.train_y))
        with clock("partition"):
            labels = self.dataset.train_y.numpy()
            parts = partition(len(labels), job.workers, job.seed, job.partition, labels)
        self.workers = range(job.workers) if engine_traits(strategy.traits).one_process else (ctx.rank,)
        self.batches = Batches(parts, self.workers, job.batch // job.workers, job.steps, job.seed, start)
        self.model = flat_model(job, ctx)
        self.train: Train = train
        self.optimizer = self.table_optimizer = None
        if strategy.traits.update == "worker":
            self.optimizer = FlatOptimizer(job.optimizer, self.model.dense)
            if self.model.rows is not None:
                self.table_optimizer = FlatOptimizer(job.optimizer, self.model.params[: self.model.table])

    def run(self, observe: Observe, ready: Callable[[], None] = lambda: None) -> TrainingResult:
        """Train for all steps; blocks. `observe` gets the record of each step when it ends.

        `ready` is called when all workers are set up: earlier bytes and seconds belong to no step.
        Raises RunError, or whatever a stage raises.
        """
        ctx = self.ctx
        ctx.place.enter("synchronize")
        self.strategy.setup(ctx, self.model.params)
        if isinstance(self.strategy, EngineStrategy):
            self.train = self.strategy.wrap(ctx, self.model, train)
        self.train = StragglerModel.of(self.job).around(self.train, ctx, self.workers)
        ctx.barrier()
        ctx.endpoint.trim()  # frees the copies of worker 0's parameters, which nobody reads again
        self.clock.take()
        ready()
        samples = self._samples()
        batches = iter(loader(samples, self.batches))
        pieces = job_bucket_slices(self.job, self.model)
        with contextlib.closing(synchronizer(ctx, self.strategy, self.model, pieces, self.job.overlap)) as buckets:
            for ctx.place.step in range(self.start, self.job.steps):
                skipped = ctx.place.step < ctx.skipped_to
                observe(self._skip(batches) if skipped else self._step(batches, buckets))
        return self._finish()

    def _samples(self) -> Samples:
        data, random, drawn = self.dataset, self.random_transform, self.batches
        augment = None if random is None else lambda raw, indices: random(raw, indices, drawn.epoch)
        return Samples(data.train_x, data.train_y, self.transform, self.clock, augment)

    def _step(self, batches: Iterator[Batch], buckets: Synchronizer) -> StepRecord:
        """Go through the six stages of one step; returns its record."""
        ctx, clock = self.ctx, self.clock
        began = ctx.now()
        with clock("load"):  # stages 1 and 2 run inside it and are charged to themselves
            batch = next(batches)
        with clock("train"), buckets.backward():
            loss = self.train(self.model, batch)
            if not math.isfinite(loss):
                cause = f"the loss is {loss}: training diverged; try a learning rate below {self.job.optimizer.lr:g}"
                # With overlap the rank's place is at a bucket just now.
                raise RunError(cause, **{**ctx.place.fields(), "stage": "train", "bucket": 0})
        if self.strategy.traits.exchanges == "gradients":
            hidden = self._synchronize(buckets)
            self._update()
        else:
            self._update()
            hidden = self._synchronize(buckets)
        return StepRecord(
            ctx.place.step, "worker", ctx.rank, began, ctx.now(), clock.take(), loss, self.batches.digests, hidden
        )

    def _skip(self, batches: Iterator[Batch]) -> StepRecord:
        """Skip a step that this worker is too late for: draw its samples, for the ledger, without training on them."""
        ctx, clock = self.ctx, self.clock
        began = ctx.now()
        with clock("load"):
            next(batches)
        times = began, ctx.now(), clock.take()
        return StepRecord(ctx.place.step, "worker", ctx.rank, *times, samples=self.batches.digests, skipped=True)

    def _synchronize(self, buckets: Synchronizer) -> float:
        with self.clock("synchronize"):
            return buckets.wait()

    def _update(self) -> None:
        with self.clock("update"):
            if self.optimizer is not None:
                self.optimizer.step(self.model.grad, self.ctx.place.step)
            if self.table_optimizer is not None and self.model.rows is not None:
                self.table_optimizer.step_rows(self.model.rows, self.ctx.place.step)

    def _finish(self) -> TrainingResult:
        """Take leave of the servers, wait for the other workers, measure the result."""
        ctx = self.ctx
        ctx.place.step = FINISH
        ctx.place.enter("synchronize")
        self.strategy.finish(ctx)
        if self.job.on_worker_death == "abort":  # otherwise the barrier would wait for dead workers
            ctx.barrier()
        ctx.place.enter("finish")
        score = None
        if ctx.rank == min(set(ctx.workers) - ctx.departed()):
            score = accuracy(self.model, self.transform(self.dataset.test_x), self.dataset.test_y)
        return TrainingResult(self.model.params, hashlib.sha256(self.model.params.tobytes()).hexdigest(), score)
