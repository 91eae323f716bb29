"""One rank: the process that the agent starts. Everything it needs lies in the job's private folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch._dynamo  # torch.optim imports it at first use: a second, which the fork server spends once for all ranks

import common.data.digits
import common.models.cnn
import common.models.embedding
import common.models.mlp  # noqa: F401 - as above
from common.board import Board, PostedPlace
from common.context import Context
from common.errors import DeadlineExceeded, RunError
from common.job import Job
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker, serve
from common.placement import crew_of
from common.process import Process
from common.recorder import Events, Recorder, StepRecord
from common.stages import STAGES, StageClock
from common.strategy import Rows, SyncStrategy, Vector
from common.transport.connect import connect
from common.transport.meter import Metered
from common.transport.routed import hosts_of
from experiments.crew import Crew
from experiments.launch import remove_private
from experiments.registry import create

LINGER = 5.0  # seconds that the last messages get to leave


Life = Callable[[dict[str, Any], Path, Board, PostedPlace], dict[str, Any]]


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the training job described in `folder`/job.json."""
    live(folder, rank, _train)


def _train(order: dict[str, Any], home: Path, board: Board, place: PostedPlace) -> dict[str, Any]:
    return _Rank(Job.from_dict(order["job"]), order, home, board, place).run()


def live(folder: str, rank: int, life: Life) -> None:
    """Be rank `rank` of the job described in `folder`/job.json: `life` gets that order and returns a report.

    So do the servers that are placed with it, in threads of this process. Exits with 1 after a failure, which the
    first of them to fail has reported.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to answer
    os.dup2(2, 1)  # what a strategy prints must not get into the agent's JSON
    home = Path(folder)
    _die_with_the_agent(home)
    order = json.loads((home / "job.json").read_text())
    board = Board(home / "board", order["processes"] + order["servers"])
    crew = Crew(board, crew_of(rank, order["processes"], order["servers"], order["placement"]))

    def one(rank: int) -> None:
        place = PostedPlace(board, rank, "worker" if rank < order["processes"] else "server")
        try:
            _tell(home, rank, life(order, home, board, place))
        except BaseException as error:
            report = _failure(error, place)
            crew.fails(report["error"], lambda: _tell(home, rank, report))

    sys.exit(0 if crew.run(one) else 1)


def _tell(home: Path, rank: int, report: dict[str, Any]) -> None:
    part = home / f"report-{rank}.part"
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    part.write_text(json.dumps({**report, "at": time.monotonic(), "peak_memory_bytes": peak}))
    part.rename(home / f"report-{rank}.json")


def _failure(error: BaseException, place: PostedPlace) -> dict[str, Any]:
    if isinstance(error, RunError):
        return {"error": error.record(), "traceback": None}
    lines = str(error).strip().splitlines() or [""]
    failed = RunError(f"{type(error).__name__}: {lines[0]}", **place.fields())
    return {"error": {**failed.record(), "type": type(error).__name__}, "traceback": traceback.format_exc()}


def overdue(home: Path, place: PostedPlace) -> Callable[[DeadlineExceeded], NoReturn]:
    """What ends this rank, once it has said why, when a call of an engine has lasted too long."""

    def end(error: DeadlineExceeded) -> NoReturn:
        _tell(home, place.rank, _failure(error, place))
        os._exit(1)

    return end


def _die_with_the_agent(home: Path) -> None:
    """Leave nothing behind if the agent is killed: its lock comes free, this rank tidies up and ends."""

    def wait() -> None:
        with open(home.parent / "agent.lock") as lock, contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)  # blocks for as long as the agent lives
            remove_private(home.parent)
            os._exit(1)

    threading.Thread(target=wait, name="agent-guard", daemon=True).start()


@contextlib.contextmanager
def writing(place: PostedPlace) -> Iterator[None]:
    """A full disk, say, is no mistake of the code."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "only a part of them fits"  # NumPy's own words, without a number, name no cause
        raise RunError(f"results cannot be written: {reason}", **place.fields()) from None


class _Rank:
    """The parts of one rank, put together."""

    def __init__(self, job: Job, order: dict[str, Any], home: Path, board: Board, place: PostedPlace) -> None:
        torch.set_num_threads(job.threads)
        self.job, self.board, self.place = job, board, place
        self.results = Path(order["results"])
        self.strategy: SyncStrategy = create(job.strategy, job.strategy_options)
        name = f"{place.rank}-{place.role}"
        with writing(place):
            self.recorder = Recorder(self.results / "ranks" / f"{name}.jsonl", order["epoch"])
        workers, servers = order["processes"], job.servers
        hosts = hosts_of(workers, servers, job.hosts, job.placement)
        endpoint = connect(
            job.transport,
            place,
            workers + servers,
            home,
            job=order["id"],
            deadline=job.deadline,
            interface=job.interface,
            hosts=hosts,
            crew=crew_of(place.rank, workers, servers, job.placement),
            watch=self._watch,
        )
        self.events = Events(self.results / "ranks" / f"{name}.events.jsonl", endpoint.now, order["epoch"])
        self.meter = Metered(endpoint)
        self.clock = StageClock(endpoint.now, place.enter)
        self.ctx = Context(
            self.meter,
            workers=workers,
            servers=servers,
            optimizer=self._server_optimizer,
            hosts=[[rank for rank in host if rank < workers] for host in hosts],
            process=Process(home, workers + servers, place, job.deadline, overdue(home, place)),
            record=self._note,
        )
        self.updates = _Updates(self)
        self.totals = dict.fromkeys(STAGES, 0.0)
        self.steps_done = 0
        self.sent: dict[str, Any] = {}

    def _watch(self) -> None:
        if (culprit := self.board.culprit()) is not None:
            raise culprit

    def run(self) -> dict[str, Any]:
        """Live this rank's life and close its sockets, at once if it ends badly."""
        linger = 0.0
        with contextlib.ExitStack() as undo:
            undo.callback(self.recorder.close)
            undo.callback(self.events.close)
            undo.callback(lambda: self.meter.close(linger=linger))
            report = self._serve() if self.place.role == "server" else self._work()
            linger = LINGER
        return report

    def _work(self) -> dict[str, Any]:
        trained = Worker(self.job, self.ctx, self.strategy, self.clock).run(self.observe, self.meter.reset)
        if self.place.rank == 0:
            self._save(trained.params)
        return {
            **self.sent,
            "params_sha256": trained.params_sha256,
            "test_accuracy": trained.test_accuracy,
            "strategy_notes": self._notes() if self.place.rank == 0 else {},
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
        part = self.results / "params.part"
        try:
            with writing(self.place), open(part, "wb") as file:
                np.save(file, params, allow_pickle=False)
            part.rename(self.results / "params.npy")
        finally:
            part.unlink(missing_ok=True)

    def _serve(self) -> dict[str, Any]:
        serve(self.job, self.ctx, self.strategy)
        return {**(self.sent or self._sent()), **self.updates.held()}

    def _sent(self) -> dict[str, Any]:
        return {"bytes_to": dict(self.meter.bytes_to), "messages_to": dict(self.meter.messages_to)}

    def observe(self, record: StepRecord) -> None:
        """Record one step: first the file, then the board."""
        with writing(self.place):
            self.recorder.write(record)
        self.steps_done += 1
        if record.role == "worker" and self.steps_done == self.job.steps:  # what follows belongs to no step
            self.sent = self._sent()
        for stage, seconds in record.seconds.items():
            self.totals[stage] += seconds
        self.board.done(self.place.rank, self.steps_done, record.loss or 0.0, list(self.totals.values()))

    def _note(self, event: Mapping[str, Any]) -> None:
        with writing(self.place):
            self.events.write(event)
        if event.get("event") == "finished":  # what is sent when the last worker has is in answer to no step
            self.sent = self._sent()

    def _server_optimizer(self, params: Vector) -> _ServerOptimizer:
        return _ServerOptimizer(FlatOptimizer(self.job.optimizer, params), self.updates)


class _Updates:
    """A server's stage 6, timed and recorded: a row for as many updates as it has optimizers.

    With one optimizer a segment, that is a row a step where a step is one update of all, and a row for each worker's
    push where every push is. A row's step is that of the gradient in its last update.
    """

    def __init__(self, rank: _Rank) -> None:
        self.rank = rank
        self.began = 0.0  # the row that is open
        self.optimizers: list[FlatOptimizer] = []
        self.done = 0

    def expect(self, optimizer: FlatOptimizer) -> None:
        """One more optimizer takes part; the first step begins when the last of them is there."""
        self.optimizers.append(optimizer)
        self.began = self.rank.ctx.now()

    def held(self) -> dict[str, int]:
        """What this server has of the model, in parameters, and what its update rule keeps beside them, in bytes."""
        return {
            "parameters": sum(each.size for each in self.optimizers),
            "optimizer_state_bytes": sum(each.state_bytes for each in self.optimizers),
        }

    def update(self, step: Callable[[], None]) -> None:
        rank = self.rank
        if not self.done:
            rank.meter.reset()  # what was sent before the first update belongs to the set-up
        with rank.clock("update"):
            step()
        rank.place.enter("synchronize")
        self.done += 1
        if not self.done % len(self.optimizers):
            self._record()

    def _record(self) -> None:
        rank, place = self.rank, self.rank.place
        ended = rank.ctx.now()
        seconds = rank.clock.take()
        seconds["synchronize"] = ended - self.began - seconds["update"]  # waiting, receiving, adding up, replying
        rank.observe(StepRecord(place.step, place.role, place.rank, self.began, ended, seconds))
        self.began = ended


class _ServerOptimizer:
    """Stage 6 on a server's piece of one bucket."""

    def __init__(self, optimizer: FlatOptimizer, updates: _Updates) -> None:
        self.optimizer, self.updates = optimizer, updates
        updates.expect(optimizer)

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        self.updates.update(lambda: self.optimizer.step(grad, at, damping))

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        self.updates.update(lambda: self.optimizer.step_rows(rows, at, damping))
