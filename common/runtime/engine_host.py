"""What a rank's process offers to other people's engines, which move the bytes themselves.

They need a place to meet before they can talk, and a deadline around calls that know none: such a call cannot be
interrupted, so the whole process ends, once it has said why.
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

POLL = 0.1  # seconds between two looks at how long a call has lasted


class EngineHost:
    """The process of one of `ranks` ranks that share the private folder `home`.

    `overdue` is called, in a thread of its own, when a limited call has lasted longer than `deadline` seconds. It
    must end the process.
    """

    def __init__(
        self, home: Path, ranks: int, place: Place, deadline: float, overdue: Callable[[DeadlineExceeded], NoReturn]
    ) -> None:
        self.deadline = deadline
        self.groups = 0  # of torch.distributed that engines have open, its default group aside
        self._home, self._ranks, self._place, self._overdue = home, ranks, place, overdue
        self._call: tuple[str, float] | None = None  # what is called, and when that is overdue
        self._guard: threading.Thread | None = None

    def store(self, name: str) -> Store:
        """A torch Store for the engine `name`, which all ranks share; it opens no port."""
        return file_store(self._home, self._ranks, f"store-{name}")

    @contextlib.contextmanager
    def limit(self, what: str) -> Iterator[None]:
        """Around a call of `what` that may block for ever. It must release the GIL, or nobody can look after it."""
        if self._guard is None:
            self._guard = threading.Thread(target=self._look, name="deadline-guard", daemon=True)
            self._guard.start()
        self._call = what, time.monotonic() + self.deadline
        try:
            yield
        finally:
            self._call = None

    def _look(self) -> None:
        while True:
            time.sleep(POLL)
            call = self._call
            if call is not None and time.monotonic() > call[1]:
                self._overdue(self.waited(call[0]))

    def waited(self, what: str) -> DeadlineExceeded:
        """The error of a call of `what` that took too long. An engine does not say for whom it waited: for anybody."""
        peers = [rank for rank in range(self._ranks) if rank != self._place.rank]
        return DeadlineExceeded(f"waited {self.deadline:g} s in {what}", peers=peers, **self._place.fields())
