"""Two transports in one endpoint: shared memory to near ranks, sockets to far ranks.

Near ranks are those of the same host or, if sockets carry everything else, those of the same process. A pair of ranks
uses one transport only, so its messages keep their order.
"""

import time
from collections.abc import Callable, Iterable

from common.transport.base import Endpoint, Message
from common.transport.process_endpoint import ProcessEndpoint, any_of
from common.transport.shm.endpoint import ShmEndpoint
from common.transport.sockets.endpoint import ZmqEndpoint
from common.transport.wrappers.forwarding import ForwardingEndpoint
from common.types import Array


class RoutedEndpoint(ForwardingEndpoint):
    """An endpoint that uses `near` for the ranks in `near_ranks` and `far` for all others. `near` also allocates.

    A loan to a far rank moves only inside calls of `far`. So `near` calls it whenever it waits.
    """

    def __init__(self, near: ShmEndpoint, far: ZmqEndpoint, near_ranks: frozenset[int]) -> None:
        super().__init__(near)
        self.near, self.far, self.near_ranks = near, far, near_ranks
        self._far_first = False
        near.doorbell.other_work = far.pump_or_sleep

    def _endpoint_for(self, rank: int) -> ProcessEndpoint:
        return self.near if rank in self.near_ranks else self.far

    def send(self, to: int, array: Array) -> None:
        self._endpoint_for(to).send(to, array)

    def lend(self, to: int, array: Array) -> None:
        self._endpoint_for(to).lend(to, array)

    def expose(self, to: int, array: Array) -> None:
        self._endpoint_for(to).expose(to, array)

    def settle(self) -> None:
        self.near.settle()
        self.far.settle()

    def recv_into(self, from_: int, out: Array) -> None:
        self._endpoint_for(from_).recv_into(from_, out)

    def recv_add(self, from_: int, into: Array) -> None:
        self._endpoint_for(from_).recv_add(from_, into)

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        senders = list(from_)
        if self.near_ranks.issuperset(senders):
            self.near.recv_add_all(senders, into)
        else:
            Endpoint.recv_add_all(self, senders, into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        senders = list(from_)
        if self.near_ranks.issuperset(senders):
            self.near.recv_sum(senders, out)
        else:
            Endpoint.recv_sum(self, senders, out)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        if self.near_ranks.issuperset(senders):
            self.near.recv_add_answer(senders, into, finish)
        else:
            Endpoint.recv_add_answer(self, senders, into, finish)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        near = tuple(rank for rank in from_ if rank in self.near_ranks)
        far = tuple(rank for rank in from_ if rank not in self.near_ranks)
        if not far:
            return self.near.recv_any(near, out)
        if not near:
            return self.far.recv_any(far, out)
        end = time.monotonic() + self.deadline
        while True:
            self._far_first = not self._far_first  # the two take turns
            parts = [(self.near, near), (self.far, far)]
            for endpoint, ranks in reversed(parts) if self._far_first else parts:
                if any(map(endpoint.has, ranks)):
                    return endpoint.recv_any(ranks, out)
            self.near.doorbell.sleep_elsewhere(
                lambda: any(map(self.near.has, near)), lambda wake_read: self.far.sleep_for(far, wake_read)
            )
            self.near.check(end, any_of(from_), from_)

    def abandon(self) -> None:
        self.near.abandon()
        self.far.abandon()

    def close(self, *, linger: float = 0.0) -> None:
        self.far.close(linger=linger)  # first: a peer may need its last messages before it reads those of `near`
        self.near.close(linger=linger)
