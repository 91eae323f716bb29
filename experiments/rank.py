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
from common.board import Board, PostedPlace, Reincarnated
from common.context import Array, Context
from common.errors import DeadlineExceeded, Departed, RunError
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
from experiments.incarnation import POLL, Incarnation, Past, Sent, live_through
from experiments.launch import remove_private
from experiments.registry import create
from experiments.resumption import Resumption, added

LINGER = 5.0  # seconds that the last messages get to leave


Life = Callable[[dict[str, Any], Path, Board, PostedPlace], dict[str, Any]]


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the training job described in `folder`/job.json."""
    live(folder, rank, _train)


def _train(order: dict[str, Any], home: Path, board: Board, place: PostedPlace) -> dict[str, Any]:
    job = Job.from_dict(order["job"])

    def one_life(incarnation: Incarnation, past: Past) -> dict[str, Any]:
        return _Rank(job, order, home, board, place, incarnation, past).run()

    report: dict[str, Any] = live_through(home, order["id"], board, place, job.deadline, one_life)
    return report


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
    """The parts of one rank, put together, for one incarnation of the job."""

    def __init__(
        self,
        job: Job,
        order: dict[str, Any],
        home: Path,
        board: Board,
        place: PostedPlace,
        incarnation: Incarnation,
        past: Past,
    ) -> None:
        torch.set_num_threads(job.threads)
        self.job, self.board, self.place = job, board, place
        self.home, self.incarnation, self.past = home, incarnation, past
        self.stay: bool = order["stay"]
        self.results = Path(order["results"])
        self.strategy: SyncStrategy = create(job.strategy, job.strategy_options)
        name = f"{place.rank}-{place.role}"
        again = incarnation.number > 0
        with writing(place):
            self.recorder = Recorder(self.results / "ranks" / f"{name}.jsonl", order["epoch"], going_on=again)
        workers, servers = order["processes"], job.servers
        hosts = hosts_of(workers, servers, job.hosts, job.placement)
        endpoint = connect(
            job.transport,
            place,
            workers + servers,
            incarnation.home,
            job=incarnation.id,
            deadline=job.deadline,
            interface=job.interface,
            hosts=hosts,
            crew=crew_of(place.rank, workers, servers, job.placement),
            watch=self._watch,
        )
        self.told: frozenset[int] = frozenset()  # of these departed workers
        if job.on_worker_death == "continue" and place.role == "server":
            endpoint.idle = self._idle
        path = self.results / "ranks" / f"{name}.events.jsonl"
        self.events = Events(path, endpoint.now, order["epoch"], going_on=again)
        self.meter = Metered(endpoint)
        self.resumption = Resumption(job, order, place, incarnation, past, self._notes_to_save)
        self.clock = StageClock(endpoint.now, place.enter)
        self.ctx = Context(
            self.meter,
            workers=workers,
            servers=servers,
            optimizer=self._server_optimizer,
            hosts=[[rank for rank in host if rank < workers] for host in hosts],
            process=Process(home, workers + servers, place, job.deadline, overdue(home, place)),
            record=self._note,
            checkpoints=self.resumption.checkpoints,
            resumed=self.resumption.start if incarnation.resumed else None,
            departed=self._departed if job.on_worker_death == "continue" else frozenset,
        )
        self.updates = _Updates(self)
        self.totals = past.totals or dict.fromkeys(STAGES, 0.0)
        self.steps_done = self.resumption.start
        self.ctx.skip_to(incarnation.step or 0)
        # As it is if no step is left to do.
        self.sent: Sent = self.resumption.sent if self.resumption.start == job.steps else {}
        if again:
            loss = board.read(place.rank).loss
            board.done(place.rank, self.steps_done, loss, list(self.totals.values()))
            with writing(place):
                self.resumption.rewind(self.recorder, self.events)

    def _watch(self) -> None:
        if (culprit := self.board.culprit()) is not None:
            raise culprit
        if (number := self.board.incarnation) != self.incarnation.number:
            raise Reincarnated(number)

    def _departed(self) -> frozenset[int]:
        self.told = self.board.departed()
        return self.told

    def _idle(self) -> None:
        if self.board.departed() != self.told:
            raise Departed

    def run(self) -> dict[str, Any]:
        """Live this rank's life and close its sockets, at once if it ends badly."""
        linger = 0.0
        with contextlib.ExitStack() as undo:
            undo.callback(self.recorder.close)
            undo.callback(self.events.close)
            undo.callback(lambda: self.meter.close(linger=linger))
            try:
                report = self._serve() if self.place.role == "server" else self._work()
                if self.stay:
                    report["incarnation"] = self.incarnation.number
                    self._await_dismissal(report)
            except Reincarnated:
                self.past.leave(self.steps_done, self.totals, self._sent(), self.ctx.checkpoints)
                raise
            linger = LINGER
        return report

    def _await_dismissal(self, report: dict[str, Any]) -> None:
        """Be there, all done, for as long as a server may still come back and need this rank to do it again.

        Ends with the job or with the agent, so it needs no deadline.
        """
        _tell(self.home, self.place.rank, report)
        while not self.board.dismissed:
            self._watch()
            time.sleep(POLL)

    def _work(self) -> dict[str, Any]:
        worker = Worker(self.job, self.ctx, self.strategy, self.clock, self.resumption.start)
        trained = worker.run(self.observe, self.meter.reset)
        if trained.test_accuracy is not None:
            self._save(trained.params)
        return {
            **self.sent,
            "params_sha256": trained.params_sha256,
            "test_accuracy": trained.test_accuracy,
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
        part = self.results / "params.part"
        try:
            with writing(self.place), open(part, "wb") as file:
                np.save(file, params, allow_pickle=False)
            part.rename(self.results / "params.npy")
        finally:
            part.unlink(missing_ok=True)

    def _serve(self) -> dict[str, Any]:
        serve(self.job, self.ctx, self.strategy)
        sent = self.sent or self._sent()
        if self.incarnation.resumed and not self.updates.done:  # no step was left to do
            sent = self.resumption.sent
        return {**sent, **self.updates.held()}

    def _sent(self) -> Sent:
        """What was sent in all steps that count, by receiver."""
        here = {"bytes_to": self.meter.bytes_to, "messages_to": self.meter.messages_to}
        return added(self.resumption.sent, here)

    def _notes_to_save(self) -> dict[str, Any]:
        """What a checkpoint says of this rank besides its state."""
        return {**self._sent(), "rows": self.recorder.size, "events": self.events.size}

    def observe(self, record: StepRecord) -> None:
        """Record one step: first the file, then the board."""
        with writing(self.place):
            self.recorder.write(record)
        self.steps_done += 1
        if record.role == "worker" and self.steps_done == self.job.steps:  # what follows belongs to no step
            self.sent = self._sent()
        if self.job.checkpoint_every and not self.steps_done % self.job.checkpoint_every:
            self.past.remember(self.steps_done, self._sent())
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

    def state(self) -> dict[str, Array]:
        return self.optimizer.state()

    def restore(self, state: Mapping[str, Array]) -> None:
        self.optimizer.restore(state)

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        self.updates.update(lambda: self.optimizer.step_rows(rows, at, damping))
