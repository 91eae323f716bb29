"""The ranks of one process: a worker in the main thread, the servers placed with it in threads of their own.

They end as one. The first to fail says why; the others learn it from the board that they share, end by themselves
within a moment, and say nothing: they went down with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from common.errors import DeadlineExceeded, PeerFailed
from common.runtime.status_board import StatusBoard

# Seconds in which the deadlines pass of ranks that wait for each other: the last of them is to blame.
PATIENCE = 0.5
LEAVE = 1.0  # seconds that the other ranks get to end by themselves; then the process ends, whatever they do


class ColocatedRanks:
    """The lives of `ranks`, all of one process; `board` is theirs in common."""

    def __init__(self, board: StatusBoard, ranks: Sequence[int]) -> None:
        self.board, self.ranks = board, ranks
        self._lock = threading.Lock()
        self._failed = False
        self._ended: list[int] = []

    def run(self, live: Callable[[int], None]) -> bool:
        """Call `live(rank)` for each, the first in this thread; returns whether all of them ended well. Blocks.

        `live` must not raise; it says how it ended by `fails`.
        """
        others = [
            threading.Thread(target=self._live, args=(live, rank), name=f"rank-{rank}", daemon=True)
            for rank in self.ranks[1:]
        ]
        for thread in others:
            thread.start()
        self._live(live, self.ranks[0])
        for thread in others:
            thread.join()  # what it waits for has deadlines, and after a failure the process ends anyway
        return not self._failed and len(self._ended) == len(self.ranks)

    def _live(self, live: Callable[[int], None], rank: int) -> None:
        live(rank)
        self._ended.append(rank)

    def fails(self, record: dict[str, Any], tell: Callable[[], None]) -> None:
        """One of the ranks has failed, as `record` of its error says; `tell` lets the agent know.

        Only then the others hear of it: they must not end the process before it is told. Who fails because it heard
        of another says nothing. Where one has waited in vain, the others may have too, and first get to say for whom.
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
        _later(patience, lambda: self._spread(error))
        _later(patience + LEAVE, lambda: os._exit(1))

    def _spread(self, error: PeerFailed) -> None:
        with self._lock:
            if self.board.here is None:
                self.board.here = error


def _later(seconds: float, act: Callable[[], None]) -> None:
    """Do it at once, or in `seconds`, if this process lives so long."""
    if not seconds:
        act()
        return
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
