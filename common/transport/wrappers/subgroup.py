"""Some of the ranks under numbers of their own: what `Context.among` puts an algorithm on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from numpy.typing import DTypeLike

from common.transport.base import Endpoint, Message, Queue, Task
from common.types import Array


class SubgroupEndpoint(Endpoint):
    """The endpoint `inner`, on which rank `ranks[i]` goes by the number i; errors keep naming the ranks of the job."""

    def __init__(self, inner: Endpoint, ranks: Sequence[int]) -> None:
        super().__init__(inner.place, inner.deadline)
        self.inner = inner
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

    def settle(self) -> None:
        self.inner.settle()

    def trim(self) -> None:
        self.inner.trim()

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

    def spawn(self, fn: Callable[[], None]) -> Task:
        return self.inner.spawn(fn)

    def queue(self) -> Queue:
        return self.inner.queue()

    def abandon(self) -> None:
        self.inner.abandon()

    def close(self, *, linger: float = 0.0) -> None:
        """Nothing: the endpoint is the whole job's."""

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        return self.inner.alloc(shape, dtype)

    def now(self) -> float:
        return self.inner.now()

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)
