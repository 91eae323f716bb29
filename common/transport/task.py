"""What runs beside its caller on the same rank: the contract, and the thread that real transports use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from common.errors import DeadlineExceeded
from common.place import Place


class Queue(Protocol):
    """First in, first out, between two tasks of one rank."""

    def put(self, item: Any) -> None:
        """Add an item; never blocks."""

    def get(self) -> Any:
        """Take the first item; blocks until there is one, without a deadline."""


class Task(Protocol):
    """What `spawn` returns."""

    def join(self) -> None:
        """Block until the function has returned, within the deadline (DeadlineExceeded), and raise what it raised."""


class ThreadTask:
    """A function in a thread of its own, which ends with the process at the latest."""

    def __init__(self, fn: Callable[[], None], place: Place, deadline: float) -> None:
        self._fn, self._place, self._deadline = fn, place, deadline
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"beside rank {place.rank}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._fn()
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        self._thread.join(self._deadline)
        if self._thread.is_alive():
            cause = f"waited {self._deadline:g} s for a thread of its own"
            raise DeadlineExceeded(cause, peers=(self._place.rank,), **self._place.fields())
        if self._error is not None:
            raise self._error
