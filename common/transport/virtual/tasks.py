"""`spawn` and `queue` in virtual time: another greenlet of the same rank, and how the two wait for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from common.transport.virtual.scheduler import Scheduler
from common.transport.virtual.state import Fiber, RankState


class VirtualQueue:
    """First in, first out. `put` does not let anybody else run: it may be called from inside foreign code."""

    def __init__(self, scheduler: Scheduler, rank: RankState) -> None:
        self._scheduler, self._rank = scheduler, rank
        self._items: deque[Any] = deque()
        self._reader: Fiber | None = None  # waits for an item

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._reader is not None:
            self._scheduler.at(self._scheduler.now, self._reader, self._reader.ticket)
            self._reader = None

    def get(self) -> Any:
        if not self._items:
            self._reader = self._rank.fiber()
            self._reader.ticket += 1
            self._scheduler.main.switch()
        return self._items.popleft()


class VirtualTask:
    """A function in a greenlet of its own, which begins when its rank next waits."""

    def __init__(self, scheduler: Scheduler, rank: RankState, fn: Callable[[], None]) -> None:
        self._fn, self._ended = fn, VirtualQueue(scheduler, rank)
        scheduler.begin(rank, self._run)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._fn()
        except BaseException as raised:
            error = raised
        self._ended.put(error)

    def join(self) -> None:
        """Block until it has ended; what it waits for has deadlines. Raises what it raised."""
        error = self._ended.get()
        self._ended.put(error)  # for whoever joins again
        if error is not None:
            raise error
