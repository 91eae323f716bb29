"""Rendezvous: each rank publishes its addresses and looks up those of the others.

It uses the Store of `torch.distributed`: on one machine a FileStore in the job's private folder, which opens no port.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import DeadlineExceeded, RunError
from common.place import Place

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

POLL = 0.005  # seconds between two look-ups; a wait of the store itself could not be interrupted for a second or more


def file_store(folder: Path, ranks: int, name: str = "store") -> Store:
    """Return the store `name` of a job on one machine; all ranks use the same `folder`."""
    from torch.distributed import FileStore  # type: ignore[attr-defined] # torch does not list it as public

    return FileStore(str(folder / name), ranks)


class Rendezvous:
    """One rank's access to the addresses of all ranks."""

    def __init__(self, store: Store, place: Place, deadline: float, name: str = "rank") -> None:
        """`name` distinguishes several endpoints of one rank in one store."""
        self.store, self.place, self.deadline, self.name = store, place, deadline, name

    def publish(self, addresses: dict[int, str]) -> None:
        """Publish the address at which this rank listens to each peer."""
        with self._store_errors():
            self.store.set(f"{self.name}-{self.place.rank}", json.dumps(addresses))

    def lookup(self, peer: int, watch: Callable[[], None]) -> str:
        """Return the address at which `peer` listens to this rank. Blocks; calls `watch`. DeadlineExceeded."""
        key = f"{self.name}-{peer}"
        end = time.monotonic() + self.deadline
        while True:
            with self._store_errors():
                if self.store.check([key]):
                    return str(json.loads(self.store.get(key))[str(self.place.rank)])
            watch()
            if time.monotonic() > end:
                cause = f"waited {self.deadline:g} s for rank {peer} to start"
                raise DeadlineExceeded(cause, peers=[peer], **self.place.fields())
            time.sleep(POLL)

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn the store's errors, too many open files for example, into RunErrors."""
        try:
            yield
        except RuntimeError as error:  # torch's DistError is one
            raise RunError(f"the ranks cannot meet: {error}", **self.place.fields()) from None
