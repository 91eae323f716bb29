"""How ranks find each other: each publishes where it listens, and looks up the others.

Built on `torch.distributed`'s Store: a FileStore in the job's private folder on one machine, so no port is opened.
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

POLL = 0.005  # seconds between two looks: the stores' own waits are deaf to everything else, for a second or more


def file_store(folder: Path, ranks: int, name: str = "store") -> Store:
    """The store `name` of a job on one machine; every rank opens the same `folder`."""
    from torch.distributed import FileStore  # type: ignore[attr-defined] # torch does not list it as public

    return FileStore(str(folder / name), ranks)


class Rendezvous:
    """One rank's view of who listens where. `watch` is called while waiting; it raises when the job is over."""

    def __init__(self, store: Store, place: Place, deadline: float, name: str = "rank") -> None:
        """`name` sets apart several of a rank's in one store."""
        self.name = name
        self.store = store
        self.place = place
        self.deadline = deadline

    def publish(self, addresses: dict[int, str]) -> None:
        """Say at which address this rank listens to each peer."""
        with self._translated():
            self.store.set(f"{self.name}-{self.place.rank}", json.dumps(addresses))

    def lookup(self, peer: int, watch: Callable[[], None]) -> str:
        """The address at which `peer` listens to this rank. Blocks; raises DeadlineExceeded, or what `watch` raises."""
        key = f"{self.name}-{peer}"
        end = time.monotonic() + self.deadline
        while not self._there(key):
            watch()
            if time.monotonic() > end:
                cause = f"waited {self.deadline:g} s for rank {peer} to start"
                raise DeadlineExceeded(cause, peers=[peer], **self.place.fields())
            time.sleep(POLL)
        with self._translated():
            return str(json.loads(self.store.get(key))[str(self.place.rank)])

    def _there(self, key: str) -> bool:
        with self._translated():
            return bool(self.store.check([key]))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """What the store says goes wrong, too many open files for example, in our words."""
        try:
            yield
        except RuntimeError as error:  # torch's DistError is one
            raise RunError(f"the ranks cannot meet: {error}", **self.place.fields()) from None
