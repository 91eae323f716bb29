"""Run the ranks of one process: a worker in the main thread, the servers placed with it in threads of their own.

They end as one. The first rank to fail reports its error. The others learn of it from the board object that they share,
end by themselves within a moment, and report nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from common.errors import DeadlineExceeded, PeerFailed
from common.runtime.status_board import StatusBoard

# Seconds within which the deadlines pass of ranks that wait for each other; the last rank of such a chain is to blame.
PATIENCE = 0.5
LEAVE = 1.0  # seconds that the other ranks get to end by themselves; then the process ends


class ColocatedRanks:
    """The ranks of this process, which share `board`."""

    def __init__(self, board: StatusBoard, ranks: Sequence[int]) -> None:
        self.board, self.ranks = board, ranks
        self._lock = threading.Lock()
        self._failed = False
        self._ended: list[int] = []

    def run(self, live: Callable[[int], None]) -> bool:
        """Call `live(rank)` for each rank, the first in this thread; return whether all ended well. Blocks.

        `live` must not raise; it tells a failure by calling `fails`.
        """
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
        _later(patience, lambda: self._spread(error))
        _later(patience + LEAVE, lambda: os._exit(1))

    def _spread(self, error: PeerFailed) -> None:
        with self._lock:
            if self.board.here is None:
                self.board.here = error


def _later(seconds: float, act: Callable[[], None]) -> None:
    """Call `act` now if `seconds` is 0, else in a timer."""
    if not seconds:
        act()
        return
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
