"""Fast paths: optional calls, `ctx.fast`, with which the built-in strategies save a copy, a message or a wait.

No strategy needs them: the calls of `common.context` do the same, a little slower. There are three groups: sums and
answers in place (`recv_add_all` to `recv_add_answer`), parameters shared by the ranks of one process, which are threads
(`share`, `recv_shared`), and work beside the caller, on the same rank (`spawn`, `queue`, `abandon`). Calls that block
end within the context's deadline and raise the same errors as the context's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from common.types import Array

if TYPE_CHECKING:
    from common.transport.base import Endpoint, Queue, Task


class FastPaths:
    """The fast paths of one rank. `colocated`: the other ranks of its process that can share memory with it."""

    def __init__(self, endpoint: Endpoint, colocated: frozenset[int]) -> None:
        self.colocated = colocated
        self._endpoint = endpoint

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        """Receive the next message from each of `from_` and add them to `into`, in that order. Blocks."""
        self._endpoint.recv_add_all(from_, into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        """Receive a message from each of `from_`, one at least; `out` becomes their sum, in that order. Blocks."""
        self._endpoint.recv_sum(from_, out)

    def expose(self, to: int, array: Array) -> None:
        """Lend `array` to `to` and let `to` write its answer over it; `recv_into(to, array)` waits for the answer.

        The array belongs to `to` until that call has returned, and after an error for good: do not read it, write to
        it or lend it, and do not call `settle`, which would wait for the answer. Virtual time checks this. The answer
        comes as an ordinary message unless the array is memory of `alloc` and both ranks are on one host.
        """
        self._endpoint.expose(to, array)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        """Receive a message from each of `from_`, add them to `into` in that order, and answer each with the sum.

        `finish` is called before the answers with flat parts of the sum, each element once; it may change each element
        by itself. If every sender has exposed its array, the answers are written there. Otherwise `into` is lent to
        the senders: call `settle` before changing it. Blocks.
        """
        self._endpoint.recv_add_answer(from_, into, finish)

    def share(self, to: int, array: Array) -> None:
        """Give `to`, a colocated rank, the use of `array`, memory of `alloc`, for good. ValueError for any other rank.

        The two ranks must agree which of them writes where and when. Parts that one lends the other are not copied.
        """
        self._endpoint.share(to, array)

    def recv_shared(self, from_: int, like: Array) -> Array:
        """Return the memory that `from_` shares, as an array of the shape and dtype of `like`. Blocks; ValueError."""
        return self._endpoint.recv_shared(from_, like)

    def spawn(self, fn: Callable[[], None]) -> Task:
        """Run `fn()` beside the caller; `join` raises its error. Meanwhile the other may only use `now` and queues."""
        return self._endpoint.spawn(fn)

    def queue(self) -> Queue:
        """Return a queue between the caller and what it spawned."""
        return self._endpoint.queue()

    def abandon(self) -> None:
        """Make every call of this rank that waits, now or later, raise RunError soon: this rank has failed."""
        self._endpoint.abandon()
