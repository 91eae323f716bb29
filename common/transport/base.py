"""The contract of a transport.

An `Endpoint` is one rank's end of it. Per ordered pair of ranks, messages arrive complete, in order, once, or an
error is raised. A message is stamped with the sender's step and bucket; receiving one that is for another step,
bucket, dtype or size than asked for is a `ProtocolError`. Arrays are C-contiguous and of any numeric dtype; their
shape does not travel, only their elements do.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from common.place import Place
from common.transport.task import Queue, Task
from common.types import Array, zeros


@dataclass(frozen=True, slots=True)
class Message:
    """What `recv_any` received: who sent it, for which step and bucket, and how many elements it had."""

    sender: int
    step: int
    bucket: int
    size: int


class Endpoint(ABC):
    """One rank's end of a transport. `deadline` is in seconds and holds for each blocking call.

    `crew` are the other ranks of this process, if it can share memory with them: threads of it that run at once.

    Calls raise ValueError for a rank that is no other rank of the job, or an array that cannot travel. Those that
    block raise DeadlineExceeded, PeerFailed when the job is over, and ProtocolError when something else came than was
    asked for; what they were to fill may then be half filled.
    """

    crew: frozenset[int] = frozenset()

    def __init__(self, place: Place, deadline: float) -> None:
        self.place = place
        self.deadline = deadline
        # Of real transports: called while `recv_any` waits and has read nothing; it may raise, and nothing is lost.
        self.idle: Callable[[], None] = lambda: None

    @abstractmethod
    def send(self, to: int, array: Array) -> None:
        """Send a copy of `array`; the caller may change it at once. Waits only, at first, for the peer to be there."""

    @abstractmethod
    def lend(self, to: int, array: Array) -> None:
        """Send `array` without copying it.

        The caller must not write to it until `settle` has returned, or until it has received a message that `to`
        can only have sent after reading this one.
        """

    def expose(self, to: int, array: Array) -> None:
        """`lend` it to `to`, who may write its answer into it; `recv_into(to, array)` then finds that there.

        The array is the receiver's until that has returned, and stays so after an error: neither read nor write it, nor
        lend it to anybody else, and do not `settle`, which would wait for who may be waiting for others. Virtual time
        checks that. The answer is written there only if the array is memory of `alloc`, and both are on one host.
        """
        self.lend(to, array)

    def share(self, to: int, array: Array) -> None:
        """Let `to`, one of `crew`, have `array`, memory of `alloc`, for good: what `recv_shared` gives is this memory.

        Which of the two may write where, and when, is for them to agree on. What either lends of it is lent in place.
        """
        raise self.not_crew(to)

    def not_crew(self, rank: int) -> ValueError:
        """The error that says that there is no memory in common with `rank`."""
        return ValueError(f"rank {rank} does not share memory with rank {self.place.rank}")

    @abstractmethod
    def settle(self) -> None:
        """Block until everything lent has come back: then it may be changed."""

    def trim(self) -> None:  # noqa: B027 - optional
        """Forget what of the peers' memory this rank has looked at; what it reads again it gets again."""

    @abstractmethod
    def recv_into(self, from_: int, out: Array) -> None:
        """Receive the next message from `from_` into `out`, which it must fill exactly. Blocks."""

    def recv_shared(self, from_: int, like: Array) -> Array:
        """The memory that `from_`, one of `crew`, shares: an array of the shape and dtype of `like`. Blocks."""
        raise self.not_crew(from_)

    @abstractmethod
    def recv_add(self, from_: int, into: Array) -> None:
        """Receive the next message from `from_` and add it to `into`, element by element. Blocks."""

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        """Receive the next message from each of `from_` and add them to `into`, in that order. Blocks."""
        for sender in from_:
            self.recv_add(sender, into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        """Receive the next message from each of `from_`, one at least; `out` is their sum, in that order. Blocks."""
        first, *rest = from_
        self.recv_into(first, out)
        self.recv_add_all(rest, out)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        """Receive a message from each of `from_`, add them to `into`, in that order, and answer each with the sum.

        Before that, `finish` is called with flat parts of the sum, however it is cut, each element once; it may change
        the elements, each by itself. If all have exposed what they sent, the answers may be written there. Else `into`
        is lent to them: `settle` before it is changed. Blocks.
        """
        senders = list(from_)
        self.recv_add_all(senders, into)
        self.lend_finished(senders, into, finish)

    def lend_finished(self, to: Iterable[int], total: Array, finish: Callable[[Array], None]) -> None:
        """The way of `recv_add_answer` that is always open: `finish` the total, and lend it to each of `to`."""
        finish(flat(total))
        for rank in to:
            self.lend(rank, total)

    @abstractmethod
    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        """Receive the next message from any of `from_`, for any step, into the start of `out`. Blocks."""

    @abstractmethod
    def close(self, *, linger: float = 0.0) -> None:
        """Let go of everything; messages still queued get up to `linger` seconds to leave."""

    @abstractmethod
    def spawn(self, fn: Callable[[], None]) -> Task:
        """Run `fn()` beside the caller, on the same rank. One of the two at a time may use the endpoint.

        The other may ask `now`, and use a `queue`. What `fn` raises, `join` of the task raises.
        """

    @abstractmethod
    def queue(self) -> Queue:
        """A queue between what was spawned and who spawned it."""

    @abstractmethod
    def abandon(self) -> None:
        """Let every call that waits, now or later, raise RunError soon: this rank has failed."""

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Zeroed memory that this transport moves fastest."""
        return zeros(shape, dtype)

    def now(self) -> float:
        """Seconds on this transport's monotonic clock."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)


def as_bytes(array: Array) -> NDArray[np.uint8]:
    """The memory of a C-contiguous array as flat bytes, without a copy. ValueError if it is strided."""
    if not array.flags.c_contiguous:
        raise ValueError(f"only contiguous arrays can be sent or received; this one has strides {array.strides}")
    return array.reshape(-1).view(np.uint8)


def flat(array: Array) -> Array:
    """A C-contiguous array in one dimension, without a copy. ValueError if it is strided."""
    if not array.flags.c_contiguous:
        as_bytes(array)  # says what is wrong
    return array.reshape(-1)
