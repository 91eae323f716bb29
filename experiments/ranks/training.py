"""One rank of a training job: the process that the agent starts, or a thread of one."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # torch.optim imports it at first use: a second, which the fork server spends once for all ranks

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
from experiments.launch.rank_process import LINGER, live, overdue, tell, writing
from experiments.ranks.recording import RankRecorder
from experiments.ranks.server_optimizer import ServerOptimizer, TimedUpdates
from experiments.ranks.trace_recorder import Recording, TraceRecorder, Untraced, trace_file


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the training job described in `folder`/job.json."""
    live(folder, rank, _train)


def _train(order: dict[str, Any], home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    job = Job.from_dict(order["job"])

    recording = recording_of(job, order, place, clock_id())

    def one_life(incarnation: Incarnation, past: CarriedState) -> dict[str, Any]:
        return Rank(job, order, home, board, place, incarnation, past, recording).run()

    with recording:
        report: dict[str, Any] = live_through(home, order["id"], board, place, job.deadline, one_life)
    return report


def recording_of(job: Job, order: Mapping[str, Any], place: Place, clock: int) -> Recording:
    """What a rank is recorded with, which reads this `clock` (common.records.trace_buffer)."""
    if not job.trace:
        return Untraced()
    return TraceRecorder(trace_file(Path(order["results"]), place), place, order["processes"] + job.servers, clock)


class _News:
    """What the board tells a rank that waits."""

    def __init__(self, board: StatusBoard, incarnation: int) -> None:
        self._board, self._incarnation = board, incarnation
        self._told: frozenset[int] = frozenset()  # of these departed workers

    def watch(self) -> None:
        """Raises PeerFailed if the job is over, Reincarnated if it goes on in another incarnation."""
        if (culprit := self._board.culprit()) is not None:
            raise culprit
        if (number := self._board.incarnation) != self._incarnation:
            raise Reincarnated(number)

    def departed(self) -> frozenset[int]:
        """The departed workers, of whom this rank is told by that."""
        self._told = self._board.departed()
        return self._told

    def departures(self) -> None:
        """Raises Departed if a worker has departed since this rank was told."""
        if self._board.departed() != self._told:
            raise Departed


class Rank:
    """The parts of one rank, put together, for one incarnation of the job."""

    def __init__(
        self,
        job: Job,
        order: dict[str, Any],
        home: Path,
        board: StatusBoard,
        place: PostedPlace,
        incarnation: Incarnation,
        past: CarriedState,
        recording: Recording,
    ) -> None:
        torch.set_num_threads(job.threads)
        self.job, self.order, self.home, self.board, self.place = job, order, home, board, place
        self.incarnation, self.past, self.recording = incarnation, past, recording
        self.strategy: SyncStrategy = create(job.strategy, job.strategy_options)
        if isinstance(self.strategy, EngineStrategy):
            ranks = order["processes"] + job.servers
            self.strategy.host = EngineHost(home, ranks, place, job.deadline, overdue(home, place))
        self.news = _News(board, incarnation.number)
        self.meter = MeteredEndpoint(recording.endpoint(self._endpoint()))
        self.books = RankRecorder(job, order, board, self.meter, incarnation, past)
        self.resumption = self.books.resumption
        self.clock = self._clock()
        self.updates = TimedUpdates(self.meter, self.clock, self.books.observe)
        self.ctx = self._context()
        self.ctx.skip_to(incarnation.step or 0)

    def _endpoint(self) -> Endpoint:
        """Connected to all other ranks. Blocks; raises RunError."""
        job, place = self.job, self.place
        workers, servers = self.order["processes"], job.servers
        endpoint = connect(
            job.transport,
            place,
            workers + servers,
            self.incarnation.home,
            job=self.incarnation.id,
            deadline=job.deadline,
            interface=job.interface,
            hosts=ranks_by_host(workers, servers, job.hosts, job.placement),
            crew=ranks_in_process_of(place.rank, workers, servers, job.placement),
            watch=self.news.watch,
        )
        if job.on_worker_death == "continue" and place.role == "server":
            endpoint.idle = self.news.departures
        return endpoint

    def _context(self) -> Context:
        job, workers = self.job, self.order["processes"]
        hosts = ranks_by_host(workers, job.servers, job.hosts, job.placement)
        return Context(
            self.meter,
            workers=workers,
            servers=job.servers,
            optimizer=self._server_optimizer,
            hosts=[[rank for rank in host if rank < workers] for host in hosts],
            record=self.books.note,
            departed=self.news.departed if job.on_worker_death == "continue" else frozenset,
            checkpoints=self.resumption.checkpoints,
            resumed=self.resumption.start if self.incarnation.resumed else None,
            overlaps=job.overlap == "on",
        )

    def _clock(self) -> StageClock:
        return self.recording.clock(StageClock, self.meter.now, self.place.enter)

    def _server_optimizer(self, params: Vector) -> ServerOptimizer:
        return self.updates.expect(self._optimizer(params))

    def _optimizer(self, params: Vector) -> FlatOptimizer:
        return FlatOptimizer(self.job.optimizer, params)

    def _worker(self) -> Worker:
        return Worker(self.job, self.ctx, self.strategy, self.clock, self.resumption.start)

    def run(self) -> dict[str, Any]:
        """Live this rank's life and close its sockets, at once if it ends badly."""
        linger = 0.0
        with contextlib.ExitStack() as undo:
            undo.callback(self.books.close)
            undo.callback(lambda: self.meter.close(linger=linger))
            try:
                report = self._serve() if self.place.role == "server" else self._work()
                if self.order["stay"]:
                    report["incarnation"] = self.incarnation.number
                    self._await_dismissal(report)
            except Reincarnated:
                books = self.books
                self.past.leave(books.steps_done, books.totals, books.sent_so_far(), self.ctx.checkpoints)
                raise
            linger = LINGER
        return report

    def _await_dismissal(self, report: dict[str, Any]) -> None:
        """Be there, all done, for as long as a server may still come back and need this rank to do it again.

        Ends with the job or with the agent, so it needs no deadline.
        """
        tell(self.home, self.place.rank, report)
        while not self.board.dismissed:
            self.news.watch()
            time.sleep(POLL)

    def _work(self) -> dict[str, Any]:
        worker = self._worker()
        trained = worker.run(self.books.observe, self.meter.reset)
        if trained.test_accuracy is not None:
            self._save(trained.params)
        return {
            **self.books.sent,
            "params_sha256": trained.params_sha256,
            "test_accuracy": trained.test_accuracy,
            "data_sha256": worker.dataset.sha256(),
            "strategy_notes": self._notes() if trained.test_accuracy is not None else {},
        }

    def _notes(self) -> dict[str, Any]:
        """The strategy's own account of its choices. RunError if it is no JSON object."""
        notes = self.strategy.notes()
        try:
            json.dumps(notes, allow_nan=False)
            return dict(notes)
        except (TypeError, ValueError):
            raise RunError(f"notes() gave what is no JSON object: {notes!r}", **self.place.fields()) from None

    def _save(self, params: Vector) -> None:
        results = Path(self.order["results"])
        part = results / "params.part"
        try:
            with writing(self.place), open(part, "wb") as file:
                np.save(file, params, allow_pickle=False)
            part.rename(results / "params.npy")
        finally:
            part.unlink(missing_ok=True)

    def _serve(self) -> dict[str, Any]:
        serve(self.job, self.ctx, self.strategy)
        sent = self.books.sent or self.books.sent_so_far()
        if self.incarnation.resumed and not self.updates.done:  # no step was left to do
            sent = self.resumption.sent
        return {**sent, **self.updates.held()}
