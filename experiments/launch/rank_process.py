"""The life of a rank, whatever it does: begins with an order in the job's private folder, ends with a report there."""

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
from experiments.launch.rank_threads import ColocatedRanks

LINGER = 5.0  # seconds that the last messages get to leave

Life = Callable[
    [dict[str, Any], Path, StatusBoard, PostedPlace], dict[str, Any]
]  # order, folder, board, place: a report


def live(folder: str, rank: int, life: Life) -> None:
    """Be rank `rank` of the job described in `folder`/job.json: `life` gets that order and returns a report.

    So do the servers that are placed with it, in threads of this process. Exits with 1 after a failure, which the
    first of them to fail has reported.
    """
    order, home, board = begin(folder)
    crew = ColocatedRanks(board, ranks_in_process_of(rank, order["processes"], order["servers"], order["placement"]))

    def one(rank: int) -> None:
        place = PostedPlace(board, rank, "worker" if rank < order["processes"] else "server")
        try:
            tell(home, rank, life(order, home, board, place))
        except BaseException as error:
            report = failure(error, place)
            crew.fails(report["error"], lambda: tell(home, rank, report))

    sys.exit(0 if crew.run(one) else 1)


def begin(folder: str) -> tuple[dict[str, Any], Path, StatusBoard]:
    """Be a process of the job described in `folder`/job.json: its order, its folder and its board."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to answer
    os.dup2(2, 1)  # what a strategy prints must not get into the agent's JSON
    home = Path(folder)
    die_with_the_agent(home)
    order = json.loads((home / "job.json").read_text())
    return order, home, StatusBoard(home / "board", order["processes"] + order["servers"])


def tell(home: Path, rank: int, report: dict[str, Any]) -> None:
    """Leave `report` where the agent finds it, whole; a later one takes its place."""
    part = home / f"report-{rank}.part"
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(FileNotFoundError):  # the agent has given up this job, and nobody is left to be told
        part.write_text(json.dumps({**report, "at": time.monotonic(), "peak_memory_bytes": peak}))
        part.rename(home / f"report-{rank}.json")


def failure(error: BaseException, place: Place) -> dict[str, Any]:
    """The report of a rank that ends with `error`, raised at `place`."""
    if isinstance(error, RunError):
        return {"error": error.record(), "traceback": None}
    lines = str(error).strip().splitlines() or [""]
    failed = RunError(f"{type(error).__name__}: {lines[0]}", **place.fields())
    return {"error": {**failed.record(), "type": type(error).__name__}, "traceback": traceback.format_exc()}


def overdue(home: Path, place: Place) -> Callable[[DeadlineExceeded], NoReturn]:
    """What ends this rank, once it has said why, when a call of an engine has lasted too long."""

    def end(error: DeadlineExceeded) -> NoReturn:
        tell(home, place.rank, failure(error, place))
        os._exit(1)

    return end


def die_with_the_agent(home: Path) -> None:
    """Leave nothing behind if the agent is killed: its lock comes free, this rank tidies up and ends."""

    def wait() -> None:
        with open(home.parent / LOCK) as lock, contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)  # blocks for as long as the agent lives
            remove_private(home.parent)
            os._exit(1)

    threading.Thread(target=wait, name="agent-guard", daemon=True).start()


@contextlib.contextmanager
def writing(place: Place) -> Iterator[None]:
    """A full disk, say, is no mistake of the code."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "only a part of them fits"  # NumPy's own words, without a number, name no cause
        raise RunError(f"results cannot be written: {reason}", **place.fields()) from None
