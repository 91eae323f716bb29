"""The life of a rank process: it begins with the order in the job's folder, and ends with a report there."""

import contextlib
import fcntl
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from common.errors import DeadlineExceeded, PeerFailed, RunError
from common.place import Place
from common.runtime.placement import ranks_in_process_of
from common.runtime.status_board import PostedPlace, StatusBoard
from experiments.launch.job_folder import LOCK, remove_private

LINGER = 5.0  # seconds that the last messages get to leave
# Seconds within which the deadlines pass of ranks that wait for each other; the last rank of such a chain is to blame.
PATIENCE = 0.5
LEAVE = 1.0  # seconds that the other ranks get to end by themselves; then the process ends


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order for a job, in the file `job.json` of its folder: what every rank must know."""

    job: dict[str, Any]  # what to do, as the entry module understands it
    workers: int  # worker ranks: the first ones
    servers: int
    placement: str  # of the servers
    id: int  # tells this job's messages and checkpoints from those of others
    results: str  # folder for results
    epoch: float  # seconds on the clock `time.perf_counter` from which results count time
    stay: bool = False  # ranks that are done wait for the agent's word: a server may come back and need them

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return self.workers + self.servers


# What one rank does. It takes the order, the job's folder, the board and the rank's place, and returns a report.
Life = Callable[[JobOrder, Path, StatusBoard, PostedPlace], dict[str, Any]]


def enter(entry: str, folder: str, rank: int) -> None:
    """Call `main(folder, rank)` of the module `entry`, in a new process. The agent itself must not import torch."""
    importlib.import_module(entry).main(folder, rank)


def live(folder: str, rank: int, life: Life) -> NoReturn:
    """Call `life` for `rank`, and in threads for servers of this process; leave reports in `folder`. Exits, 0 or 1."""
    order, home, board = begin(folder)
    together = ColocatedRanks(board, ranks_in_process_of(rank, order.workers, order.servers, order.placement))

    def one(rank: int) -> None:
        place = PostedPlace(board, rank, "worker" if rank < order.workers else "server")
        try:
            tell(home, rank, life(order, home, board, place))
        except BaseException as error:
            report = failure(error, place)
            together.fails(report["error"], lambda: tell(home, rank, report))

    sys.exit(0 if together.run(one) else 1)


class ColocatedRanks:
    """The ranks of this process, which share `board`: a worker in the main thread, its servers in threads of their own.

    The first rank to fail reports its error. The others learn it from the board, end soon, and report nothing.
    """

    def __init__(self, board: StatusBoard, ranks: Sequence[int]) -> None:
        self.board, self.ranks = board, ranks
        self._lock = threading.Lock()
        self._failed = False
        self._ended: list[int] = []

    def run(self, live: Callable[[int], None]) -> bool:
        """Call `live(rank)`, which tells failures by `fails`, for each rank; return whether all ended well. Blocks."""
        others = [
            threading.Thread(target=self._live, args=(live, rank), name=f"rank-{rank}", daemon=True)
            for rank in self.ranks[1:]
        ]
        for thread in others:
            thread.start()
        self._live(live, self.ranks[0])
        for thread in others:
            thread.join()  # every call in it has a deadline, and after a failure the process ends anyway
        return not self._failed and len(self._ended) == len(self.ranks)

    def _live(self, live: Callable[[int], None], rank: int) -> None:
        live(rank)
        self._ended.append(rank)

    def fails(self, record: dict[str, Any], tell: Callable[[], None]) -> None:
        """Handle the failure of a rank with this error record; `tell` reports it to the agent.

        The other ranks learn of it only after `tell`, since they may end the process. A rank that fails because of
        another rank of this process reports nothing. After a wait in vain the others get PATIENCE seconds first, to
        report for whom they wait.
        """
        if len(self.ranks) == 1:
            tell()
            self._failed = True
            return
        error = PeerFailed(record["cause"], **{key: record[key] for key in ("rank", "role", "stage", "step")})
        with self._lock:
            self._failed = True
            if str(error) == str(self.board.here):
                return
            tell()
        patience = PATIENCE if record["type"] == DeadlineExceeded.__name__ else 0.0

        def spread() -> None:
            with self._lock:
                if self.board.here is None:
                    self.board.here = error

        timers = [threading.Timer(patience + LEAVE, os._exit, (1,))]
        if patience:
            timers.append(threading.Timer(patience, spread))
        else:
            spread()
        for timer in timers:
            timer.daemon = True
            timer.start()


def begin(folder: str) -> tuple[JobOrder, Path, StatusBoard]:
    """Make this process one of the job in `folder`; return its order, its folder and its board."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent answers Ctrl-C
    os.dup2(2, 1)  # output of a strategy must not get into the agent's JSON
    home = Path(folder)
    die_with_the_agent(home)
    order = msgspec.json.decode((home / "job.json").read_bytes(), type=JobOrder)
    return order, home, StatusBoard(home / "board", order.ranks)


def tell(home: Path, rank: int, report: dict[str, Any]) -> None:
    """Write the report for the agent, atomically. It replaces an earlier report of this rank."""
    part = home / f"report-{rank}.part"
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(FileNotFoundError):  # the agent has ended the job and removed the folder
        part.write_text(json.dumps({**report, "at": time.monotonic(), "peak_memory_bytes": peak}))
        part.rename(home / f"report-{rank}.json")


def failure(error: BaseException, place: Place) -> dict[str, Any]:
    """Return the report of a rank that ends with `error`, raised at `place`."""
    if isinstance(error, RunError):
        return {"error": error.record(), "traceback": None}
    lines = str(error).strip().splitlines() or [""]
    failed = RunError(f"{type(error).__name__}: {lines[0]}", **place.fields())
    return {"error": {**failed.record(), "type": type(error).__name__}, "traceback": traceback.format_exc()}


def overdue(home: Path, place: Place) -> Callable[[DeadlineExceeded], NoReturn]:
    """Return a function that reports an error and ends the process, for calls that nothing can interrupt."""

    def end(error: DeadlineExceeded) -> NoReturn:
        tell(home, place.rank, failure(error, place))
        os._exit(1)

    return end


def die_with_the_agent(home: Path) -> None:
    """Start a thread that ends this process when the agent is killed, and removes the agent's folder first."""

    def wait() -> None:
        with open(home.parent / LOCK) as lock, contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)  # blocks for as long as the agent lives
            remove_private(home.parent)
            os._exit(1)

    threading.Thread(target=wait, name="agent-guard", daemon=True).start()


@contextlib.contextmanager
def writing(place: Place) -> Iterator[None]:
    """Turn an OSError into a RunError that says why results cannot be written, such as a full disk."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "only a part of them fits"  # NumPy's OSError has no number and names no cause
        raise RunError(f"results cannot be written: {reason}", **place.fields()) from None
