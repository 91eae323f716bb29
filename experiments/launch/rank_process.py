"""The life of a rank process: it begins with the order in the job's folder, and ends with a report there."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from common.errors import DeadlineExceeded, RunError
from common.place import Place
from common.runtime.placement import ranks_in_process_of
from common.runtime.status_board import PostedPlace, StatusBoard
from experiments.launch.job_folder import LOCK, remove_private
from experiments.launch.job_order import JobOrder
from experiments.launch.rank_threads import ColocatedRanks

LINGER = 5.0  # seconds that the last messages get to leave

# What one rank does. It takes the order, the job's folder, the board and the rank's place, and returns a report.
Life = Callable[[JobOrder, Path, StatusBoard, PostedPlace], dict[str, Any]]


def live(folder: str, rank: int, life: Life) -> NoReturn:
    """Call `life` for rank `rank` of the job in `folder`, and leave its report there.

    Does the same for the servers that share this process, in threads. Exits with 0, or with 1 after a failure, which
    the first rank to fail has reported.
    """
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


def begin(folder: str) -> tuple[JobOrder, Path, StatusBoard]:
    """Make this process one of the job in `folder`; return its order, its folder and its board."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent answers Ctrl-C
    os.dup2(2, 1)  # output of a strategy must not get into the agent's JSON
    home = Path(folder)
    die_with_the_agent(home)
    order = JobOrder.read(home)
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
    """Return a function that reports an error of this rank and ends the process.

    For a call of an engine that has lasted too long: nothing else can interrupt it.
    """

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
