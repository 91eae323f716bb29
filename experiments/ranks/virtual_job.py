"""A whole job in virtual time: one process, in which every rank is a greenlet."""

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from msgspec import structs

from common.context import Context
from common.data import load
from common.errors import DeadlineExceeded, Deadlock, PeerFailed
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker
from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import VIRTUAL_CLOCK
from common.runtime.job import Job
from common.runtime.placement import ranks_by_host, ranks_by_process
from common.runtime.status_board import PostedPlace, StatusBoard
from common.simulate import simulate
from common.transport.base import Endpoint
from common.transport.virtual.endpoint import VirtualEndpoint
from common.transport.virtual.link_spec import parse_link
from common.transport.virtual.scheduler import Scheduler
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import Vector
from experiments.config.strategies import create
from experiments.launch.incarnation import CarriedState, Incarnation
from experiments.launch.rank_process import JobOrder, begin, failure, overdue, tell
from experiments.ranks.compute_costs import CostlyClock, CostlyOptimizer, costs_of
from experiments.ranks.training import Rank, recording_of

LOOK = 0.5  # seconds between two looks of the watchdog


def main(folder: str, rank: int) -> None:
    """Be all ranks of the training job in `folder`; `rank` is 0, the number of the process."""
    order, home, board = begin(folder)
    sys.exit(0 if VirtualJob(order, home, board).run() else 1)


class VirtualJob:
    """One job. The first rank to fail reports its error and ends the job; the others report nothing."""

    def __init__(self, order: JobOrder, home: Path, board: StatusBoard) -> None:
        self.order, self.home, self.board = structs.replace(order, epoch=0.0), home, board
        self.asked = Job.from_dict(order.job)
        torch.set_num_threads(self.asked.threads)
        self.culprit: PeerFailed | None = None
        self._over = threading.Event()

    def run(self) -> bool:
        """Run all ranks; return whether they ended well. Blocks."""
        job, workers = self.asked, self.order.workers
        place = PostedPlace(self.board, 0, "worker")
        try:
            self.dataset = load(job.data)
            self.costs = costs_of(job, create(job.strategy, job.strategy_options).traits, self.dataset)
        except Exception as error:
            self._fails(error, place)
            return False
        parts = job.workers // workers if self.costs.measured else 1  # workers whose step one process does
        if job.hosts > 1:
            machines = ranks_by_host(workers, job.servers, job.hosts, job.placement)
        else:
            machines = ranks_by_process(workers, job.servers, job.placement)
        self.job = replace(job, train_seconds=self.costs.stages["train"] / parts)  # a straggler sleeps in stage 4
        try:
            simulate(
                self._live,
                self.order.ranks,
                servers=job.servers,
                network=replace(parse_link(job.link or ""), reduce=self.costs.reduce, seed=job.seed),
                deadline=job.deadline,
                check=False,
                machines=machines,
                place=lambda rank, role: PostedPlace(self.board, rank, role),
            )
        except Deadlock as error:
            self._fails(error, place)
        finally:
            self._over.set()
        return self.culprit is None

    def _live(self, ctx: Context) -> None:
        if ctx.rank == 0:
            scheduler = cast("VirtualEndpoint", _bare(ctx)).scheduler
            threading.Thread(target=self._watch, args=(scheduler,), name="watchdog", daemon=True).start()
        try:
            rank = VirtualRank(self, ctx)
            with rank.recording:
                report = rank.run()
            costs = {**self.costs.stages, "reduce_per_byte": self.costs.reduce, "measured": self.costs.measured}
            tell(self.home, ctx.rank, {**report, "costs": costs})
        except Exception as error:
            self._fails(error, ctx.place)
            raise
        except (SystemExit, KeyboardInterrupt) as error:  # this process runs all ranks, so one must not end it
            self._fails(error, ctx.place)
            assert self.culprit is not None
            raise self.culprit from error

    def _fails(self, error: BaseException, place: Place) -> None:
        """Report the error of the first rank to fail."""
        if self.culprit is None:
            report = failure(error, place)
            tell(self.home, report["error"]["rank"], report)
            known = {key: report["error"][key] for key in ("rank", "role", "stage", "step")}
            self.culprit = PeerFailed(report["error"]["cause"], **known)

    def _watch(self, scheduler: Scheduler) -> None:
        """End the process when one rank has computed for longer than the deadline, in real seconds. Blocks.

        No other rank can run while one computes, so virtual time does not advance and no deadline in it passes.
        """
        seen, since = -1, time.monotonic()
        while not self._over.wait(LOOK):
            if scheduler.count != seen:
                seen, since = scheduler.count, time.monotonic()
            elif time.monotonic() > since + scheduler.deadline:
                # The greenlet that runs now is the only one that is alive and not suspended.
                fibers = [fiber for rank in scheduler.ranks for fiber in rank.fibers]
                running = (fiber.rank.place for fiber in fibers if fiber.run and fiber.run.gr_frame is None)
                place = next(running, scheduler.ranks[0].place)
                cause = f"computed for {scheduler.deadline:g} s of real time, and no other rank could run"
                overdue(self.home, place)(DeadlineExceeded(cause, **place.fields()))


class VirtualRank(Rank):
    """One rank, on the network of its job."""

    def __init__(self, whole: VirtualJob, ctx: Context) -> None:
        self._whole, self._bare = whole, _bare(ctx)
        place = cast("PostedPlace", ctx.place)
        recording = recording_of(whole.job, whole.order, place, VIRTUAL_CLOCK)
        incarnation = Incarnation(0, whole.home, 0)
        super().__init__(whole.job, whole.order, whole.home, whole.board, place, incarnation, CarriedState(), recording)

    def _endpoint(self) -> Endpoint:
        return self._bare

    def _clock(self) -> StageClock:
        if self.place.role == "server":
            return self.recording.clock(StageClock, self.meter.now, self._enter)
        costs = self._whole.costs.stages
        return self.recording.clock(CostlyClock, self.meter.now, self._enter, self.meter.sleep, costs)

    def _enter(self, stage: str) -> None:
        if self._whole.culprit is not None:  # a rank that waits for no other would train to the end
            raise self._whole.culprit
        self.place.enter(stage)

    def _optimizer(self, params: Vector) -> FlatOptimizer:
        return CostlyOptimizer(self.job.optimizer, params, self.meter.sleep, self._whole.costs)

    def _worker(self) -> Worker:
        return Worker(self.job, self.ctx, self.strategy, self.clock, dataset=self._whole.dataset)


def _bare(ctx: Context) -> Endpoint:
    """Return the endpoint below the context's meter, since the rank has a meter of its own."""
    return cast("MeteredEndpoint", ctx.endpoint).inner
