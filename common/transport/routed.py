"""Two transports in one, chosen for each pair of ranks: shared memory to those close by, sockets to all others.

Close by are the ranks of the same host or, where sockets carry all else, those of the same process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Set

from numpy.typing import DTypeLike

from common.transport.base import Endpoint, Message, Queue, Task
from common.transport.process_endpoint import ProcessEndpoint, any_of
from common.transport.shm.endpoint import ShmEndpoint
from common.transport.sockets.endpoint import ZmqEndpoint
from common.types import Array


class RoutedEndpoint(Endpoint):
    """`near` carries what is for or from the ranks in `close_by`, `far` the rest.

    What `far` has been lent moves only while somebody calls it, so `near` does that when it waits.
    """

    def __init__(self, near: ShmEndpoint, far: ZmqEndpoint, close_by: Set[int]) -> None:
        super().__init__(near.place, near.deadline)
        self.near, self.far, self.close_by = near, far, close_by
        self.crew = near.crew
        self._far_first = False
        near.doorbell.other_work = far.pump_or_sleep

    def _to(self, rank: int) -> ProcessEndpoint:
        return self.near if rank in self.close_by else self.far

    def send(self, to: int, array: Array) -> None:
        self._to(to).send(to, array)

    def lend(self, to: int, array: Array) -> None:
        self._to(to).lend(to, array)

    def expose(self, to: int, array: Array) -> None:
        self._to(to).expose(to, array)

    def share(self, to: int, array: Array) -> None:
        self.near.share(to, array)

    def settle(self) -> None:
        self.near.settle()
        self.far.settle()

    def trim(self) -> None:
        self.near.trim()
        self.far.trim()

    def recv_into(self, from_: int, out: Array) -> None:
        self._to(from_).recv_into(from_, out)

    def recv_shared(self, from_: int, like: Array) -> Array:
        return self.near.recv_shared(from_, like)

    def recv_add(self, from_: int, into: Array) -> None:
        self._to(from_).recv_add(from_, into)

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        senders = list(from_)
        if all(sender in self.close_by for sender in senders):
            self.near.recv_add_all(senders, into)
        else:
            super().recv_add_all(senders, into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        senders = list(from_)
        if all(sender in self.close_by for sender in senders):
            self.near.recv_sum(senders, out)
        else:
            super().recv_sum(senders, out)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        if all(sender in self.close_by for sender in senders):
            self.near.recv_add_answer(senders, into, finish)
        else:
            super().recv_add_answer(senders, into, finish)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        near = tuple(rank for rank in from_ if rank in self.close_by)
        far = tuple(rank for rank in from_ if rank not in self.close_by)
        if not far:
            return self.near.recv_any(near, out)
        if not near:
            return self.far.recv_any(far, out)
        end = time.monotonic() + self.deadline
        while True:
            self._far_first = not self._far_first  # they take turns
            parts = [(self.near, near), (self.far, far)]
            for endpoint, ranks in reversed(parts) if self._far_first else parts:
                if any(map(endpoint.has, ranks)):
                    return endpoint.recv_any(ranks, out)
            self.near.doorbell.sleep_elsewhere(
                lambda: any(map(self.near.has, near)), lambda wake_read: self.far.sleep_for(far, wake_read)
            )
            self.near.check(end, any_of(from_), from_)

    def spawn(self, fn: Callable[[], None]) -> Task:
        return self.near.spawn(fn)

    def queue(self) -> Queue:
        return self.near.queue()

    def abandon(self) -> None:
        self.near.abandon()
        self.far.abandon()

    def close(self, *, linger: float = 0.0) -> None:
        self.far.close(linger=linger)  # first: what it still has to send may be what peers wait for before they read
        self.near.close(linger=linger)

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        return self.near.alloc(shape, dtype)
