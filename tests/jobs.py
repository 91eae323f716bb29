"""Runs whole training jobs in virtual time: every rank a greenlet of this process."""

from dataclasses import dataclass

import numpy as np

from allreduce.noop import Noop, Single
from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.tree import Tree
from common.pipeline.engine import engine_traits
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import TrainingResult, Worker, serve
from common.records.ledger import ledger_sha256
from common.records.recorder import StepRecord
from common.records.stage_clock import StageClock
from common.runtime.job import Job, OptimizerSpec
from common.simulate import Outcome, simulate
from common.transport.virtual.network import Network
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

STRATEGIES = {
    "single": Single,
    "noop": Noop,
    "star": Star,
    "ring": Ring,
    "tree": Tree,
    "ps-bsp": PsBsp,
    "ps-ssp": PsSsp,
    "ps-async": PsAsync,
    "ps-backup": PsBackup,
}
MOMENTUM, ADAM = OptimizerSpec("sgd", lr=0.1, momentum=0.9), OptimizerSpec("adam", lr=0.003)


@dataclass
class Result:
    """The results of a job, of each worker, and their records."""

    trained: list[TrainingResult]
    records: list[list[StepRecord]]
    outcome: Outcome

    @property
    def params(self):
        """Worker 0's parameters."""
        return self.trained[0].params

    @property
    def ledger(self):
        """The sample ledger of the whole job."""
        return ledger_sha256(
            (record.step, record.rank + offset, samples)
            for records in self.records
            for record in records
            for offset, samples in enumerate(record.samples)
        )

    @property
    def losses(self):
        """Mean loss over the workers, step by step."""
        return np.mean([[record.loss for record in records] for records in self.records], axis=0)


def job(strategy, *, workers=3, servers=0, steps=50, optimizer=MOMENTUM, **more):
    """A job on the digits with 16 samples a worker and step."""
    return Job(strategy, workers, servers, batch=16 * workers, steps=steps, optimizer=optimizer, **more)


def run(job, *, make=None, network=None, ready=lambda ctx: None, entered=lambda ctx, stage: None, **more):
    """Run a job; `make` makes the strategy, `ready` and `entered` hear of every worker's progress."""
    make = make or STRATEGIES[job.strategy]
    processes = 1 if engine_traits(make().traits).one_process else job.workers
    records = [[] for _ in range(processes)]

    def program(ctx):
        strategy = make()
        if ctx.rank in ctx.servers:
            return serve(job, ctx, strategy)

        def enter(stage):
            ctx.place.enter(stage)
            entered(ctx, stage)

        worker = Worker(job, ctx, strategy, StageClock(ctx.now, enter))
        return worker.run(records[ctx.rank].append, lambda: ready(ctx))

    outcome = simulate(
        program,
        processes + job.servers,
        servers=job.servers,
        network=network or Network(),
        optimizer=lambda params: FlatOptimizer(job.optimizer, params),
        **more,
    )
    return Result(outcome.results[:processes], records, outcome)
