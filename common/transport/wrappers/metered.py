"""A meter of the bytes that a rank sends, so that strategies do not report their own."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from common.transport.base import Endpoint
from common.transport.wrappers.forwarding import ForwardingEndpoint
from common.types import Array


class MeteredEndpoint(ForwardingEndpoint):
    """An endpoint that counts payload bytes and messages by receiver. Each answer of `recv_add_answer` is a message."""

    def __init__(self, inner: Endpoint) -> None:
        super().__init__(inner)
        self.bytes_to: defaultdict[int, int] = defaultdict(int)
        self.messages_to: defaultdict[int, int] = defaultdict(int)

    @property
    def bytes_sent(self) -> int:
        """The payload bytes sent to all peers since the last `reset`."""
        return sum(self.bytes_to.values())

    def reset(self) -> None:
        """Set all counts to zero."""
        self.bytes_to.clear()
        self.messages_to.clear()

    def send(self, to: int, array: Array) -> None:
        self.inner.send(to, array)
        self._count(to, array)

    def lend(self, to: int, array: Array) -> None:
        self.inner.lend(to, array)
        self._count(to, array)

    def expose(self, to: int, array: Array) -> None:
        self.inner.expose(to, array)
        self._count(to, array)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        self.inner.recv_add_answer(senders, into, finish)
        for sender in senders:
            self._count(sender, into)

    def _count(self, to: int, array: Array) -> None:
        self.bytes_to[to] += array.nbytes
        self.messages_to[to] += 1
