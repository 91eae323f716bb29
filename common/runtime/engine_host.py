"""Services of a rank's process for foreign engines, which move the bytes themselves.

An engine needs a store in which its ranks meet, and a deadline for calls that know none. Such a call cannot be
interrupted, so the whole process ends, after it has reported why.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from common.errors import DeadlineExceeded
from common.place import Place
from common.runtime.rendezvous import file_store

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

POLL = 0.1  # seconds between two checks of a call's duration


class EngineHost:
    """The process of a rank of an engine. A call that exceeds `deadline` seconds calls `overdue`, which ends it."""

    def __init__(
        self, home: Path, ranks: int, place: Place, deadline: float, overdue: Callable[[DeadlineExceeded], NoReturn]
    ) -> None:
        self.deadline = deadline
        self.groups = 0  # of torch.distributed that engines have open, without its default group
        self._home, self._ranks, self._place, self._overdue = home, ranks, place, overdue
        self._call: tuple[str, float] | None = None  # the name of the limited call, and the end of its deadline
        self._guard: threading.Thread | None = None

    def store(self, name: str) -> Store:
        """Return a torch Store for the engine `name`, shared by all ranks. It opens no port."""
        return file_store(self._home, self._ranks, f"store-{name}")

    @contextlib.contextmanager
    def limit(self, call: str) -> Iterator[None]:
        """Limit the body, a call named `call`, to the deadline. The call must release the GIL to be watched."""
        if self._guard is None:
            self._guard = threading.Thread(target=self._watch_calls, name="deadline-guard", daemon=True)
            self._guard.start()
        self._call = call, time.monotonic() + self.deadline
        try:
            yield
        finally:
            self._call = None

    def _watch_calls(self) -> None:
        while True:
            time.sleep(POLL)
            call = self._call
            if call is not None and time.monotonic() > call[1]:
                self._overdue(self.waited(call[0]))

    def waited(self, call: str) -> DeadlineExceeded:
        """Return the error of a call that took too long. An engine does not say for which rank: it names all others."""
        peers = [rank for rank in range(self._ranks) if rank != self._place.rank]
        return DeadlineExceeded(f"waited {self.deadline:g} s in {call}", peers=peers, **self._place.fields())
