"""One rank of a training job: a process that the agent starts, or a thread of it."""

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # torch.optim imports it at first use, in a second; the fork server does so once for all ranks

import common.data.digits
import common.models.cnn
import common.models.embedding
import common.models.mlp  # noqa: F401 - as above
from common.context import Context
from common.errors import Departed, RunError
from common.pipeline.engine import EngineStrategy
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker, serve
from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import clock_id
from common.runtime.engine_host import EngineHost
from common.runtime.job import Job
from common.runtime.placement import ranks_by_host, ranks_in_process_of
from common.runtime.status_board import PostedPlace, Reincarnated, StatusBoard
from common.strategy import SyncStrategy
from common.transport.base import Endpoint
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import Vector
from experiments.config.strategies import create
from experiments.launch.incarnation import POLL, CarriedState, Incarnation, live_through
from experiments.launch.rank_process import LINGER, JobOrder, live, overdue, tell, writing
from experiments.ranks.recording import RankRecorder
from experiments.ranks.server_optimizer import TimedUpdates
from experiments.ranks.trace_recorder import TraceRecorder, Untraced, trace_file


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the training job in `folder`."""
    live(folder, rank, _train)


def _train(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    job = Job.from_dict(order.job)
    recording = recording_of(job, order, place, clock_id())

    def one_life(incarnation: Incarnation, carried: CarriedState) -> dict[str, Any]:
        return Rank(job, order, home, board, place, incarnation, carried, recording).run()

    with recording:
        report: dict[str, Any] = live_through(home, order.id, board, place, job.deadline, one_life)
    return report


def recording_of(job: Job, order: JobOrder, place: Place, clock: int) -> Untraced:
    """Return what records the rank's trace; `clock` is the number of its clock (see common.records.trace_buffer)."""
    if not job.trace:
        return Untraced()
    return TraceRecorder(trace_file(Path(order.results), place), place, order.ranks, clock)


@dataclass(eq=False)
class Rank:
    """The parts of one rank, put together, for one incarnation of the job."""

    job: Job
    order: JobOrder
    home: Path
    board: StatusBoard
    place: PostedPlace
    incarnation: Incarnation
    carried: CarriedState
    recording: Untraced

    def __post_init__(self) -> None:
        job, order, home, place = self.job, self.order, self.home, self.place
        torch.set_num_threads(job.threads)
        self._departed: frozenset[int] = frozenset()  # departed workers that this rank knows of
        self.strategy: SyncStrategy = create(job.strategy, job.strategy_options)
        if isinstance(self.strategy, EngineStrategy):
            self.strategy.host = EngineHost(home, order.ranks, place, job.deadline, overdue(home, place))
        self.hosts = ranks_by_host(order.workers, job.servers, job.hosts, job.placement)
        self.meter = MeteredEndpoint(self.recording.endpoint(self._endpoint()))
        self.recorder = RankRecorder(job, order, self.board, self.meter, self.incarnation, self.carried)
        self.resumption = self.recorder.resumption
        self.clock = self._clock()
        self.updates = TimedUpdates(self.meter, self.clock, self.recorder.step)
        self.ctx = Context(
            self.meter,
            workers=order.workers,
            servers=job.servers,
            optimizer=lambda params: self.updates.expect(self._optimizer(params)),
            hosts=[[rank for rank in host if rank < order.workers] for host in self.hosts],
            record=self.recorder.event,
            departed=self._learn_departed if job.on_worker_death == "continue" else frozenset,
            checkpoints=self.resumption.checkpoints,
            resumed=self.resumption.start if self.incarnation.resumed else None,
            overlaps=job.overlap == "on",
        )
        self.ctx.skip_to(self.incarnation.step or 0)

    def _endpoint(self) -> Endpoint:
        """Return an endpoint connected to all other ranks. Blocks. Raises RunError."""
        job, place = self.job, self.place
        endpoint = connect(
            job.transport,
            place,
            self.order.ranks,
            self.incarnation.home,
            job=self.incarnation.id,
            deadline=job.deadline,
            interface=job.interface,
            hosts=self.hosts,
            crew=ranks_in_process_of(place.rank, self.order.workers, job.servers, job.placement),
            watch=self._watch,
        )
        if job.on_worker_death == "continue" and place.role == "server":
            endpoint.idle = self._raise_departed
        return endpoint

    def _watch(self) -> None:
        """Raise PeerFailed if the job is over, Reincarnated if it goes on in another incarnation."""
        self.board.check()
        if (number := self.board.incarnation) != self.incarnation.number:
            raise Reincarnated(number)

    def _learn_departed(self) -> frozenset[int]:
        """Return the workers that have departed. This rank knows of them from now on."""
        self._departed = self.board.departed()
        return self._departed

    def _raise_departed(self) -> None:
        """Raise Departed if a worker has departed of which this rank does not know."""
        if self.board.departed() != self._departed:
            raise Departed

    def _clock(self) -> StageClock:
        return self.recording.clock(StageClock, self.meter.now, self.place.enter)

    def _optimizer(self, params: Vector) -> FlatOptimizer:
        return FlatOptimizer(self.job.optimizer, params)

    def _worker(self) -> Worker:
        return Worker(self.job, self.ctx, self.strategy, self.clock, self.resumption.start)

    def run(self) -> dict[str, Any]:
        """Do this rank's work and return its report. Then close its sockets; after an error at once."""
        linger = 0.0
        with contextlib.ExitStack() as undo:
            undo.callback(self.recorder.close)
            undo.callback(lambda: self.meter.close(linger=linger))
            try:
                report = self._serve() if self.place.role == "server" else self._work()
                if self.order.stay:  # report, then wait: a server that comes back may need this rank to repeat steps
                    report["incarnation"] = self.incarnation.number
                    tell(self.home, self.place.rank, report)
                    while not self.board.dismissed:  # the wait ends with the job or with the agent
                        self._watch()
                        time.sleep(POLL)
            except Reincarnated:
                carried, recorder = self.carried, self.recorder
                carried.steps, carried.totals = recorder.steps_done, recorder.totals
                carried.sent = recorder.sent_so_far()
                if self.ctx.checkpoints is not None and (state := self.ctx.checkpoints.snapshot()) is not None:
                    carried.state = state  # a copy
                raise
            linger = LINGER
        return report

    def _work(self) -> dict[str, Any]:
        worker = self._worker()
        trained = worker.run(self.recorder.step, self.meter.reset)
        notes: dict[str, Any] = {}
        if trained.test_accuracy is not None:
            self._save(trained.params)
            told = self.strategy.notes()
            try:
                json.dumps(told, allow_nan=False)
                notes = dict(told)
            except (TypeError, ValueError):
                raise RunError(f"notes() gave what is no JSON object: {told!r}", **self.place.fields()) from None
        return {
            **self.recorder.sent,
            "params_sha256": trained.params_sha256,
            "test_accuracy": trained.test_accuracy,
            "data_sha256": worker.dataset.sha256(),
            "strategy_notes": notes,
        }

    def _save(self, params: Vector) -> None:
        results = Path(self.order.results)
        part = results / "params.part"
        try:
            with writing(self.place), open(part, "wb") as file:
                np.save(file, params, allow_pickle=False)
            part.rename(results / "params.npy")
        finally:
            part.unlink(missing_ok=True)

    def _serve(self) -> dict[str, Any]:
        serve(self.job, self.ctx, self.strategy)
        sent = self.recorder.sent or self.recorder.sent_so_far()
        if self.incarnation.resumed and not self.updates.done:  # all steps had been done before
            sent = self.resumption.sent
        return {**sent, **self.updates.held()}
