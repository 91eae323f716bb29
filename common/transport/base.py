"""The contract of a transport: an `Endpoint` is one rank's end of it.

Between two ranks, each message arrives complete, in order and once, or an error is raised. A message carries the
sender's step and bucket. A message for another step, bucket, dtype or size than the receiver asked for is a
`ProtocolError`. Arrays are C-contiguous and of any numeric dtype; only their elements travel, their shape does not.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from common.place import Place
from common.types import Array, zeros

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that `recv_any` received: its sender, step and bucket, and its number of elements."""

    sender: int
    step: int
    bucket: int
    size: int


class Queue(Protocol):
    """A first-in, first-out queue between two tasks of one rank."""

    def put(self, item: Any) -> None:
        """Add an item. Never blocks."""

    def get(self) -> Any:
        """Remove and return the first item. Blocks without a deadline until an item is present."""


class Task(Protocol):
    """A function that runs beside its caller: the result of `spawn`."""

    def join(self) -> None:
        """Block until the function has returned, then raise what it raised. DeadlineExceeded if it takes too long."""


class Endpoint(ABC):
    """One rank's end of a transport. `common.context` and `common.fast_paths` describe the calls of the same names.

    `deadline` is in seconds and holds for each blocking call. `crew` has the other ranks of this process, if this rank
    can share memory with them. A call raises ValueError for a rank that is not another rank of the job, and for an
    array that cannot travel. A blocking call raises DeadlineExceeded, PeerFailed when the job is over, and
    ProtocolError; then the array that it was to fill may be filled in part.
    """

    crew: frozenset[int] = frozenset()

    def __init__(self, place: Place, deadline: float) -> None:
        self.place = place
        self.deadline = deadline
        # Real transports call this while `recv_any` waits and has read nothing. If it raises, no message is lost.
        self.idle: Callable[[], None] = lambda: None

    @abstractmethod
    def send(self, to: int, array: Array) -> None:
        """Send a copy of `array`. Blocks only until the peer has started."""

    @abstractmethod
    def lend(self, to: int, array: Array) -> None:
        """Send `array` without copying it. The caller must not write to it until the loan is over."""

    def expose(self, to: int, array: Array) -> None:
        """Lend `array` to rank `to`, which may write its answer into it. Only virtual time checks the rules for this.

        The answer is written in place only if the array is memory of `alloc` and both ranks are on one host.
        """
        self.lend(to, array)

    def share(self, to: int, array: Array) -> None:
        """Give rank `to`, one of `crew`, lasting access to `array`, memory of `alloc`; both can lend it in place."""
        raise self.no_shared_memory(to)

    def no_shared_memory(self, rank: int) -> ValueError:
        """Return the error for a `rank` that is not in `crew`."""
        return ValueError(f"rank {rank} does not share memory with rank {self.place.rank}")

    @abstractmethod
    def settle(self) -> None:
        """Block until all loans are over: the caller may then change the arrays that it lent."""

    def trim(self) -> None:  # noqa: B027 - optional
        """Unmap the pages of peers' memory that this rank has read. They come back when they are read again."""

    @abstractmethod
    def recv_into(self, from_: int, out: Array) -> None:
        """Receive the next message from `from_` into `out`, which must be of the message's size. Blocks."""

    def recv_shared(self, from_: int, like: Array) -> Array:
        """Return the memory that `from_`, one of `crew`, shares, in the shape and dtype of `like`. Blocks."""
        raise self.no_shared_memory(from_)

    @abstractmethod
    def recv_add(self, from_: int, into: Array) -> None:
        """Receive the next message from `from_` and add it to `into`, element by element. Blocks."""

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        """Receive the next message from each rank of `from_` and add them to `into`, in this order. Blocks."""
        for sender in from_:
            self.recv_add(sender, into)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        """Receive the next message from each rank of `from_`, at least one, and store their sum in `out`. Blocks."""
        first, *rest = from_
        self.recv_into(first, out)
        self.recv_add_all(rest, out)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        """Receive a message from each rank of `from_`, add them to `into` in order, and answer each rank with the sum.

        `finish` changes flat parts of the sum before they are sent, each element once. Blocks.
        """
        senders = list(from_)
        self.recv_add_all(senders, into)
        self.finish_and_lend(senders, into, finish)

    def finish_and_lend(self, to: Iterable[int], total: Array, finish: Callable[[Array], None]) -> None:
        """Answer without exposed memory: call `finish` with the whole sum, then lend it to each rank of `to`."""
        finish(flat(total))
        for rank in to:
            self.lend(rank, total)

    @abstractmethod
    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        """Receive the next message from any rank of `from_`, for any step, into the start of `out`. Blocks."""

    @abstractmethod
    def close(self, *, linger: float = 0.0) -> None:
        """Release all resources; queued messages get up to `linger` seconds to leave."""

    @abstractmethod
    def spawn(self, fn: Callable[[], None]) -> Task:
        """Run `fn()` beside the caller, on the same rank."""

    @abstractmethod
    def queue(self) -> Queue:
        """Return a queue between a spawned function and its caller."""

    @abstractmethod
    def abandon(self) -> None:
        """Make every call that waits, now or later, raise RunError soon: this rank has failed."""

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Allocate zeroed memory that this transport moves fastest."""
        return zeros(shape, dtype)

    def now(self) -> float:
        """Return the seconds on this transport's monotonic clock."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`."""
        time.sleep(seconds)


def as_bytes(array: Array) -> Bytes:
    """Return the memory of a C-contiguous array as flat bytes, without a copy. ValueError if the array is strided."""
    if not array.flags.c_contiguous:
        raise ValueError(f"only contiguous arrays can be sent or received; this one has strides {array.strides}")
    return array.reshape(-1).view(np.uint8)


def flat(array: Array) -> Array:
    """Return a C-contiguous array in one dimension, without a copy. ValueError if the array is strided."""
    if not array.flags.c_contiguous:
        as_bytes(array)  # raises
    return array.reshape(-1)


def address(array: Array) -> int:
    """Return the address of the first element of a C-contiguous array in this process's memory."""
    try:
        return addressof(c_char.from_buffer(array.data))  # six times as fast, but needs a writable array
    except (TypeError, ValueError):
        return int(array.__array_interface__["data"][0])
