"""A subgroup of the ranks, numbered anew: the endpoint of `Context.among`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from common.transport.base import Endpoint, Message
from common.transport.wrappers.forwarding import ForwardingEndpoint
from common.types import Array


class SubgroupEndpoint(ForwardingEndpoint):
    """The endpoint `inner`, on which rank `ranks[i]` has the number i. Errors still name the ranks of the job."""

    crew = Endpoint.crew  # a subgroup shares no memory
    share = Endpoint.share
    recv_shared = Endpoint.recv_shared

    def __init__(self, inner: Endpoint, ranks: Sequence[int]) -> None:
        super().__init__(inner)
        self.ranks = tuple(ranks)

    def _rank(self, number: int) -> int:
        if not 0 <= number < len(self.ranks):
            raise ValueError(f"there is no number {number} among {len(self.ranks)} ranks")
        return self.ranks[number]

    def send(self, to: int, array: Array) -> None:
        self.inner.send(self._rank(to), array)

    def lend(self, to: int, array: Array) -> None:
        self.inner.lend(self._rank(to), array)

    def expose(self, to: int, array: Array) -> None:
        self.inner.expose(self._rank(to), array)

    def recv_into(self, from_: int, out: Array) -> None:
        self.inner.recv_into(self._rank(from_), out)

    def recv_add(self, from_: int, into: Array) -> None:
        self.inner.recv_add(self._rank(from_), into)

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        self.inner.recv_add_all([self._rank(number) for number in from_], into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        self.inner.recv_sum([self._rank(number) for number in from_], out)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        self.inner.recv_add_answer([self._rank(number) for number in from_], into, finish)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        message = self.inner.recv_any(tuple(self._rank(number) for number in from_), out)
        return replace(message, sender=self.ranks.index(message.sender))

    def close(self, *, linger: float = 0.0) -> None:
        """Do nothing: the endpoint belongs to the whole job."""
