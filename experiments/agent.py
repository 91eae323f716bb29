"""The agent: starts the ranks of a job on this machine, watches them, and leaves nothing behind.

Ranks are forked from a fork server that has torch loaded, so they start in milliseconds; those of a strategy that
says so are started by mpirun, in seconds. If one ends badly, the others learn it from the board within a fraction of a
second and end by themselves; who does not is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import resource
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, forkserver, resource_tracker
from operator import methodcaller
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from common.board import Board, Status
from common.errors import ConfigError, RunError
from common.placement import crews
from common.transport.address import ipc_address
from experiments.config.faults import MOST_RESTARTS
from experiments.config.ranks import MOST_RANKS
from experiments.deaths import survive
from experiments.incarnation import home_of
from experiments.launch import Launcher, RankProcess, forked, remove_private, under_mpirun
from experiments.restarts import Restarts
from experiments.verdict import Running, as_seen_by_others, first_error

ENTRY = "experiments.rank"  # the module whose `main(folder, rank)` is the life of a rank that trains
START = 60.0  # seconds that the first process may take to end, once torch is loaded
PREFIX = "syncbench-"
LOCK = "agent.lock"
TICK = 0.1  # seconds between two looks at the ranks
FAREWELL = 10.0  # seconds that ranks get to end after the last of them has reported
GRACE = 2.0  # seconds that ranks get to end by themselves once the job is over
PATIENCE = 0.5  # seconds in which the deadlines pass of ranks that wait for each other: the last of them is to blame
# Without these, every large message is mapped, faulted in and unmapped by its receiver (glibc).
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}
FORBIDDEN_TO_RANKS = {signal.SIGINT}  # Ctrl-C reaches every process of a terminal; the agent answers it for all


class Orders(Protocol):
    """What the agent must know of a job; the rest is for its ranks."""

    @property
    def servers(self) -> int: ...

    @property
    def placement(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: each rank's report (None if it left none), and what went wrong first, if anything."""

    reports: list[dict[str, Any] | None]
    error: RunError | None = None
    traceback: str | None = None
    seconds: float = 0.0
    deaths: Sequence[dict[str, Any]] = ()  # of workers that the job went on without: rank, step, stage, cause


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
                reason = error.strerror or error
                raise ConfigError(f"temporary files cannot be set up: {reason}; set TMPDIR to another folder") from None
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
        self._lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self._folder / "lock").rename(self._folder / LOCK)  # held before anybody finds it: see `sweep`
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([ENTRY])
        resource_tracker.ensure_running()  # lets Ctrl-C through again when it has started, so it comes first
        with signals_deferred(), _rank_environment(self.threads, self._folder):
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
        job: Orders,
        processes: int,
        results: Path,
        show: Callable[[Sequence[Status], float], None],
        entry: str = ENTRY,
        launcher: Launcher = "fork",
        restarts: Restarts | None = None,
        on_worker_death: str = "abort",
    ) -> Ended:
        """Run `job` with `processes` worker ranks and its servers; blocks until every one of them has ended.

        `entry` is the module whose `main(folder, rank)` a rank is; it finds the job in `folder`/job.json. `launcher`
        is what starts the workers; servers are forked, but for colocated ones, which their worker's process starts.
        `restarts` are those of servers that may be made.
        Rows and parameters go to `results`. `show` is called with the workers' status and the seconds so far, several
        times a second. A rank that fails ends the job; its error is in the result. KeyboardInterrupt ends it too.
        `on_worker_death` is "continue" where the job survives that of some workers: see `experiments.deaths`.
        """
        assert self._folder is not None
        home = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        total = processes + job.servers
        stay = restarts is not None and restarts.left > 0
        running = Running(home, Board(home / "board", total, create=True), stay=stay)
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
        try:
            with signals_deferred():
                own = len(crews(processes, job.servers, job.placement))  # processes; the other ranks live in these
                for process in self._launch(launcher, entry, home, processes, own):
                    running.ranks.append(process)
                running.ranks += [running.ranks[rank % processes] for rank in range(own, total)]

            def revive(failed: Sequence[int]) -> bool:
                """Start servers again that died, in a new incarnation of the job, if that is possible."""
                if restarts is None or not restarts.possible(running, failed, range(processes)):
                    return False
                restarts.announce(running, failed, range(processes, total), order["id"])
                with signals_deferred():
                    for rank, process in zip(failed, forked(self._context, entry, home, failed), strict=True):
                        running.ranks[rank] = process
                return True

            tend = partial(survive, running, processes) if on_worker_death == "continue" else lambda: None
            return self._watch(running, processes, show, tend, revive)
        finally:
            _end(running.processes)
            running.board.close()
            shutil.rmtree(home, ignore_errors=True)

    def _launch(self, launcher: Launcher, entry: str, home: Path, workers: int, count: int) -> Iterator[RankProcess]:
        """Start the `count` processes of a job, the workers' first."""
        assert self._folder is not None
        forks = range(count)
        if launcher == "mpi":
            forks = range(workers, count)
            with _rank_environment(self.threads, self._folder):
                yield from under_mpirun(entry, home, workers)
        yield from forked(self._context, entry, home, forks)

    def _watch(
        self,
        running: Running,
        processes: int,
        show: Callable[[Sequence[Status], float], None],
        tend: Callable[[], None],
        revive: Callable[[Sequence[int]], bool],
    ) -> Ended:
        error: RunError | None = None
        trace: str | None = None
        noticed = give_up = float("inf")
        while alive := [process for process in running.processes if process.exitcode is None]:
            connection.wait([process.sentinel for process in alive], TICK)
            if error is None:
                tend()
            if error is None and (failed := running.failed()) and not revive(failed):
                noticed = min(noticed, time.monotonic())
                if running.certain(failed) or time.monotonic() > noticed + PATIENCE:
                    error, trace = first_error(running, failed, processes)
                    running.board.abort(as_seen_by_others(error))
                    give_up = time.monotonic() + GRACE
            if give_up == float("inf") and running.all_reported():
                if running.stay:
                    running.board.dismiss()
                give_up = time.monotonic() + FAREWELL
            if time.monotonic() > give_up:
                _end(running.processes)
            statuses = [running.board.read(rank) for rank in range(processes) if rank not in running.departed]
            show(statuses, time.monotonic() - running.began)
        if error is None:
            tend()
        if error is None and (failed := running.failed()):
            error, trace = first_error(running, failed, processes)
        reports = [running.report(rank) for rank in range(len(running.ranks))]
        return Ended(reports, error, trace, time.monotonic() - running.began, running.deaths)


def _stop_fork_server() -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if pid := forkserver._forkserver._forkserver_pid:  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)  # it is deaf while it imports
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _end(ranks: Sequence[RankProcess]) -> None:
    """End every rank that is still there: ask, then kill. Returns within about a second."""
    with signals_deferred():
        for act in (methodcaller("terminate"), methodcaller("kill")):
            left = [rank for rank in ranks if rank.exitcode is None]
            for rank in left:
                act(rank)
            end = time.monotonic() + 0.5
            while left and time.monotonic() < end:
                connection.wait([rank.sentinel for rank in left], 0.05)
                left = [rank for rank in left if rank.exitcode is None]
        for rank in ranks:
            rank.join(1.0)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Let no Ctrl-C come in between; it is answered afterwards.

    By handlers: a mask holds for one thread, and numpy has others, which the signal would then come in through.
    """
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda which, frame: caught.append(which)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def raise_file_limit() -> None:
    """Let this process and its ranks open as many files as they may: a rank needs about seven for each peer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _rank_environment(threads: int, folder: Path) -> Iterator[None]:
    """The environment that ranks inherit: few threads, no malloc trap, no Ctrl-C, temporary files in our folder."""
    threading = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    changes = {**MALLOC, **threading, "TMPDIR": str(folder)}  # torch alone puts a folder there when it is imported
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update({name: value for name, value in changes.items() if name not in MALLOC or before[name] is None})
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORBIDDEN_TO_RANKS)
    # multiprocessing's own folder for the fork server's socket: inside ours, so that it goes with it
    multiprocessing.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def sweep() -> None:
    """Remove what agents left behind that were killed: folders of ours whose lock nobody holds, and what they name."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with open(folder / LOCK) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_private(folder)
