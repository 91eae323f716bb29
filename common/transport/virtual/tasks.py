"""`spawn` and `queue` in virtual time: a second fiber of a rank, and a queue between the two."""

from collections import deque
from collections.abc import Callable
from typing import Any

from common.transport.virtual.scheduler import Scheduler
from common.transport.virtual.state import Fiber, RankState


class VirtualQueue:
    """A first-in, first-out queue. `put` switches to no other fiber, so foreign code may call it."""

    def __init__(self, scheduler: Scheduler, rank: RankState) -> None:
        self._scheduler, self._rank = scheduler, rank
        self._items: deque[Any] = deque()
        self._reader: Fiber | None = None  # waits for an item

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._reader is not None:
            self._scheduler.schedule(self._scheduler.now, self._reader, self._reader.ticket)
            self._reader = None

    def get(self) -> Any:
        if not self._items:
            self._reader = self._rank.current_fiber()
            self._reader.ticket += 1
            self._scheduler.main.switch()
        return self._items.popleft()


class VirtualTask:
    """A function in a fiber of its own. The fiber starts when its rank next waits."""

    def __init__(self, scheduler: Scheduler, rank: RankState, fn: Callable[[], None]) -> None:
        self._fn, self._result = fn, VirtualQueue(scheduler, rank)
        scheduler.start_fiber(rank, self._run)

    def _run(self) -> None:
        try:
            self._fn()
            self._result.put(None)
        except BaseException as error:
            self._result.put(error)

    def join(self) -> None:
        """Block until the function has returned, then raise what it raised. Its own waits have deadlines."""
        error = self._result.get()
        self._result.put(error)  # for the next `join`
        if error is not None:
            raise error
