"""The agent: starts the ranks of a job on this machine, watches them, and leaves nothing behind.

Ranks are forked in milliseconds from a server process that has torch loaded, or started by mpirun. When a rank fails,
the others learn it from the status board and end by themselves; the agent kills those that do not.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from common.errors import ConfigError
from common.runtime.placement import ranks_by_process
from common.runtime.status_board import StatusBoard
from common.transport.sockets.address import ipc_address
from experiments.config.options.faults import MOST_RESTARTS
from experiments.config.options.ranks import MOST_RANKS
from experiments.launch.failure import RunningJob
from experiments.launch.incarnation import home_of
from experiments.launch.inheritance import rank_environment, signals_deferred
from experiments.launch.job_folder import cannot_be_set_up, private_folder
from experiments.launch.mpirun import RankProcess, under_mpirun
from experiments.launch.rank_process import JobOrder, enter
from experiments.launch.recovery import Restarts, survive
from experiments.launch.supervisor import JobOutcome, Show, end_all, supervise

ENTRY = "experiments.ranks.training"  # its `main(folder, rank)` is the life of a rank that trains
PRELOADED = ("sklearn.datasets", "sklearn.model_selection")  # once for all ranks: each takes a second to import
START = 60.0  # seconds that the first process may take to end, once torch is loaded
Launcher = Literal["fork", "mpi", "together"]  # together: one process runs all ranks of a job


class JobSpec(Protocol):
    """The part of a job that the agent must know."""

    @property
    def servers(self) -> int: ...

    @property
    def placement(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


class Agent:
    """Runs jobs, one after the other. A context manager, which owns a private folder and a fork server."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._undo = contextlib.ExitStack()  # what to end and remove, in reverse order

    def __enter__(self) -> Agent:
        """Return when ranks can start. Blocks for seconds. Raises ConfigError, KeyboardInterrupt."""
        try:
            with signals_deferred():
                self._folder = self._undo.enter_context(private_folder())
            self._start()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError):
                raise cannot_be_set_up(error) from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with signals_deferred():
            self._undo.close()

    def _start(self) -> None:
        ipc_address(home_of(self._folder / "job-12345678", MOST_RESTARTS))(MOST_RANKS, MOST_RANKS)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a rank needs about seven files a peer
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([ENTRY, *PRELOADED])
        self._undo.callback(_stop_servers)
        resource_tracker.ensure_running()  # must come first: when it has started, it lets Ctrl-C through again
        with signals_deferred(), rank_environment(self.threads, self._folder):
            forkserver.ensure_running()
        ready = self._context.Process(target=os.getpid, daemon=True)
        try:
            ready.start()  # returns when torch is loaded; Ctrl-C may interrupt it here, and later it must not
            ready.join(START)
        except (EOFError, ConnectionError):
            raise ConfigError("no rank can start: the fork server could not load torch, or was killed") from None

    def run(
        self,
        job: JobSpec,
        workers: int,
        results: Path,
        show: Show,
        entry: str = ENTRY,
        launcher: Launcher = "fork",
        restarts: Restarts | None = None,
        on_worker_death: str = "abort",
    ) -> JobOutcome:
        """Run `job` with `workers` worker ranks and its servers; return when all of them have ended. Blocks.

        `entry` is the module whose `main(folder, rank)` is a rank's life. `launcher` starts the workers; servers are
        forked, or live in a worker's process. `show` gets the workers' status and the seconds, several times a
        second. The first failure of a rank ends the job and is in the outcome; so does KeyboardInterrupt. `restarts`
        and `on_worker_death` say which deaths the job survives (see `experiments.launch.recovery`).
        """
        home = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        order = JobOrder(
            job=job.to_dict(),
            workers=workers,
            servers=job.servers,
            placement=job.placement,
            id=secrets.randbits(64),
            results=str(results.resolve()),
            epoch=time.perf_counter(),
            stay=restarts is not None and restarts.left > 0,
        )
        board = StatusBoard(home / "board", order.ranks, create=True)
        running = RunningJob(home, board, workers, stay=order.stay)
        (home / "job.json").write_bytes(msgspec.json.encode(order))

        def revive(failed: Sequence[int]) -> bool:
            if restarts is None or not restarts.possible(running, failed):
                return False
            restarts.announce(running, failed, order.id)
            with signals_deferred():
                for rank, process in zip(failed, self._fork(entry, home, failed), strict=True):
                    running.ranks[rank] = process
            return True

        go_on = partial(survive, running) if on_worker_death == "continue" else lambda: None
        try:
            with signals_deferred():
                for process in self._processes(order, home, entry, launcher):
                    running.ranks.append(process)
                count = len(running.ranks)
                running.ranks += [running.ranks[rank % count] for rank in range(count, order.ranks)]
            return supervise(running, go_on, revive, show)
        finally:
            end_all(running.processes)
            board.close()
            shutil.rmtree(home, ignore_errors=True)

    def _processes(self, order: JobOrder, home: Path, entry: str, launcher: Launcher) -> Iterator[RankProcess]:
        """Start the processes of a job, those of the workers first. The other ranks live in these."""
        forks = range(len(ranks_by_process(order.workers, order.servers, order.placement)))
        if launcher == "together":
            forks = range(1)
        elif launcher == "mpi":
            forks = forks[order.workers :]
            with rank_environment(self.threads, self._folder):
                yield from under_mpirun(entry, home, order.workers)
        yield from self._fork(entry, home, forks)

    def _fork(self, entry: str, home: Path, ranks: Iterable[int]) -> Iterator[RankProcess]:
        """Start these ranks as forks of the fork server, one after the other."""
        for rank in ranks:
            process = self._context.Process(
                target=enter, args=(entry, str(home), rank), name=f"rank-{rank}", daemon=True
            )
            process.start()
            yield process


def _stop_servers() -> None:
    """Stop the fork server and the resource tracker. No public call does, and both would outlive this process."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if pid := forkserver._forkserver._forkserver_pid:  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)  # it ignores every request to end while it imports
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
