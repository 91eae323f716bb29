"""The agent: starts the ranks of a job on this machine, watches them, and leaves nothing behind.

Ranks are forked from a fork server that has torch loaded, so they start in milliseconds; those of a strategy that
says so are started by mpirun, in seconds. If one ends badly, the others learn it from the board within a fraction of a
second and end by themselves; who does not is killed.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from common.errors import ConfigError
from common.runtime.placement import ranks_by_process
from common.runtime.status_board import StatusBoard
from common.transport.sockets.address import ipc_address
from experiments.config.faults import MOST_RESTARTS
from experiments.config.ranks import MOST_RANKS
from experiments.launch.failure import RunningJob
from experiments.launch.incarnation import home_of
from experiments.launch.inheritance import raise_file_limit, rank_environment, signals_deferred
from experiments.launch.job_folder import PREFIX, cannot_be_set_up, claim, remove_private, sweep
from experiments.launch.mpirun import under_mpirun
from experiments.launch.processes import Launcher, RankProcess, forked
from experiments.launch.recovery import Restarts, survive
from experiments.launch.supervisor import JobOutcome, Show, Supervisor, end_all

ENTRY = "experiments.ranks.training"  # the module whose `main(folder, rank)` is the life of a rank that trains
START = 60.0  # seconds that the first process may take to end, once torch is loaded


class JobOrders(Protocol):
    """What the agent must know of a job; the rest is for its ranks."""

    @property
    def servers(self) -> int: ...

    @property
    def placement(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


class Agent:
    """Runs jobs, one after the other. A context manager: its private folder and fork server live as long as it."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._folder: Path | None = None
        self._lock: int | None = None

    def __enter__(self) -> Agent:
        """Returns when ranks can start, seconds later. Raises ConfigError, KeyboardInterrupt."""
        try:
            sweep()
            self._start()
        except BaseException as error:
            self._stop()
            if isinstance(error, OSError):
                raise cannot_be_set_up(error) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        with signals_deferred():
            self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        ipc_address(home_of(self._folder / "job-12345678", MOST_RESTARTS))(MOST_RANKS, MOST_RANKS)
        raise_file_limit()
        self._lock = claim(self._folder)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([ENTRY])
        resource_tracker.ensure_running()  # lets Ctrl-C through again when it has started, so it comes first
        with signals_deferred(), rank_environment(self.threads, self._folder):
            forkserver.ensure_running()
        ready = self._context.Process(target=os.getpid, daemon=True)
        try:
            ready.start()  # comes back when torch is loaded: here a Ctrl-C may interrupt it, not so among the ranks
            ready.join(START)
        except (EOFError, ConnectionError):
            raise ConfigError("no rank can start: the fork server could not load torch, or was killed") from None

    def _stop(self) -> None:
        with signals_deferred(), contextlib.ExitStack() as undo:  # the last one entered goes first
            if self._folder is not None:
                undo.callback(remove_private, self._folder)
            # Neither has a public way to be stopped before this process ends, and both would outlive it for a moment.
            undo.callback(resource_tracker._resource_tracker._stop)  # type: ignore[attr-defined]
            undo.callback(_stop_fork_server)
            if self._lock is not None:
                undo.callback(os.close, self._lock)  # ranks that nobody could end, end themselves

    def run(
        self,
        job: JobOrders,
        processes: int,
        results: Path,
        show: Show,
        entry: str = ENTRY,
        launcher: Launcher = "fork",
        restarts: Restarts | None = None,
        on_worker_death: str = "abort",
    ) -> JobOutcome:
        """Run `job` with `processes` worker ranks and its servers; blocks until every one of them has ended.

        `entry` is the module whose `main(folder, rank)` a rank is; it finds the job in `folder`/job.json. `launcher`
        is what starts the workers; servers are forked, but for colocated ones, which their worker's process starts;
        with "together" one process is all ranks.
        Rows and parameters go to `results`. `show` is called with the workers' status and the seconds so far, several
        times a second. A rank that fails ends the job; its error is in the result. KeyboardInterrupt ends it too.
        `restarts` says how often servers that die are started again, and from what; None: never. `on_worker_death` is
        "continue" where the job survives that of some workers: see `experiments.launch.deaths`.
        """
        assert self._folder is not None
        home = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        total = processes + job.servers
        stay = restarts is not None and restarts.left > 0
        running = RunningJob(home, StatusBoard(home / "board", total, create=True), stay=stay)
        order: dict[str, Any] = {
            "job": job.to_dict(),
            "processes": processes,
            "servers": job.servers,
            "stay": stay,  # when all is done, until the agent dismisses them: a server may come back and need them
            "placement": job.placement,
            "id": secrets.randbits(64),
            "results": str(results.resolve()),
            "epoch": time.perf_counter(),
        }
        (home / "job.json").write_text(json.dumps(order))

        def revive(failed: Sequence[int]) -> bool:
            if restarts is None or not restarts.possible(running, failed, range(processes)):
                return False
            restarts.announce(running, failed, range(processes, total), order["id"])
            self._start_again(running, entry, failed)
            return True

        tend = partial(survive, running, processes) if on_worker_death == "continue" else lambda: None
        try:
            self._start_ranks(running, job, processes, entry, launcher)
            return Supervisor(running, processes, tend, revive).until_ended(show)
        finally:
            end_all(running.processes)
            running.board.close()
            shutil.rmtree(home, ignore_errors=True)

    def _start_ranks(self, running: RunningJob, job: JobOrders, workers: int, entry: str, launcher: Launcher) -> None:
        """Start the processes of a job, the workers' first; all its other ranks live in these."""
        with signals_deferred():
            own = 1 if launcher == "together" else len(ranks_by_process(workers, job.servers, job.placement))
            for process in self._launch(launcher, entry, running.home, workers, own):
                running.ranks.append(process)
            running.ranks += [running.ranks[rank % own] for rank in range(own, workers + job.servers)]

    def _start_again(self, running: RunningJob, entry: str, ranks: Sequence[int]) -> None:
        """Replace the processes of dedicated servers that have ended by new ones."""
        with signals_deferred():
            for rank, process in zip(ranks, forked(self._context, entry, running.home, ranks), strict=True):
                running.ranks[rank] = process

    def _launch(self, launcher: Launcher, entry: str, home: Path, workers: int, count: int) -> Iterator[RankProcess]:
        """Start the `count` processes of a job, the workers' first."""
        assert self._folder is not None
        forks = range(count)
        if launcher == "mpi":
            forks = range(workers, count)
            with rank_environment(self.threads, self._folder):
                yield from under_mpirun(entry, home, workers)
        yield from forked(self._context, entry, home, forks)


def _stop_fork_server() -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if pid := forkserver._forkserver._forkserver_pid:  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)  # it is deaf while it imports
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
