"""Messages between the processes of one host: announced in mailboxes, read in place in the sender's memory.

`alloc` gives memory of an arena that peers can map. What lies there is lent by saying where; the receiver copies or
adds straight out of it. Anything else is copied into an arena first. So a lent byte is read once and never copied on
the way, and nothing passes through the kernel but the bell that wakes a sleeper (mailbox.py).

A wait looks a few times, giving way to whoever else wants the core, and then sleeps: with more ranks than cores,
spinning would keep those from working who are waited for.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from common.errors import ConfigError, RunError
from common.place import Place
from common.runtime.rendezvous import Rendezvous
from common.transport import wire
from common.transport.base import Message, as_bytes, flat
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.shm.arena import Arena, Bytes, address, own_arena, reason_against
from common.transport.shm.blockwise_sum import add_up
from common.transport.shm.doorbell import Bell
from common.transport.shm.mailbox import ANSWER, ANYTHING, EXPOSED, LENT, SHARED, Lane, Peer, Slot, mailbox
from common.transport.shm.outbox import Outbox
from common.types import Array

LOOKS = 40  # times that a wait looks before it sleeps: about as long as falling asleep and waking up takes


@dataclass(slots=True)
class _Incoming:
    """What comes from one peer."""

    lane: Lane
    seq: int = 0  # slots done with

    def slot(self) -> Slot:
        """What is announced next, which must be there."""
        return self.lane.get(self.seq)


def _from(rank: int) -> int:
    """What a rank sleeps for that waits for a message from `rank`."""
    return 1 + rank


def _read_by(rank: int) -> int:
    """What a rank sleeps for that waits for `rank` to read what it was sent."""
    return -2 - rank


class ShmEndpoint(ProcessEndpoint):
    """One rank's mailbox and memory. `watch` raises when the job is over."""

    def __init__(
        self,
        place: Place,
        peers: int,
        rendezvous: Rendezvous,
        *,
        deadline: float,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(place, deadline, watch)
        if reason := reason_against():
            raise ConfigError(f"transport shm cannot be used here: {reason}; use ipc")
        self.rendezvous = rendezvous
        # Sends on what another endpoint of this rank still has to; if there is any left, it sleeps until it can go on
        # or the file that it is given can be read, for a moment at most, and says so.
        self.beside: Callable[[int], bool] = lambda wake_read: False
        self._arenas: dict[int, Arena] = {}  # of `alloc`, or shared: what lies in them is lent in place
        others = [rank for rank in range(peers) if rank != place.rank]
        self._peers: dict[int, Peer] = {}
        self._out: dict[int, Outbox] = {}
        self._served = 0
        self._closed = False
        with contextlib.ExitStack() as undo, self._short_of():
            self._mailbox = mailbox(peers)
            undo.callback(self._mailbox.close)
            self._bell = Bell(self._mailbox.memory)
            undo.callback(self._bell.close)
            self._in = {rank: _Incoming(Lane(self._mailbox.memory, rank)) for rank in others}
            rendezvous.publish(dict.fromkeys(others, f"{os.getpid()} {self._mailbox.fd} {self._bell.wake_write}"))
            undo.pop_all()

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Zeroed memory that peers read in place when it is lent. RunError if there is not enough."""
        dtype = np.dtype(dtype)
        arena = self._arena(math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize)
        self._arenas[arena.number] = arena
        return arena.array(shape, dtype)

    def _arena(self, nbytes: int) -> Arena:
        with self._short_of():
            return Arena(nbytes)

    @contextlib.contextmanager
    def _short_of(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"no more shared memory: {error.strerror or error}", **self.place.fields()) from None

    # Sending.

    def send(self, to: int, array: Array) -> None:
        code, data = wire.dtype_code(array.dtype), as_bytes(array)
        out = self._outbox(to)
        out.copy(self.place, code, data)
        out.peer.wake(_from(self.place.rank))

    def lend(self, to: int, array: Array) -> None:
        self._lend(to, array, LENT)

    def expose(self, to: int, array: Array) -> None:
        self._lend(to, array, EXPOSED)

    def share(self, to: int, array: Array) -> None:
        self._refuse_unless_crew(to)
        self._lend(to, array, SHARED)

    def _refuse_unless_crew(self, rank: int) -> None:
        if rank not in self.crew:
            raise self.no_shared_memory(rank)

    def _lend(self, to: int, array: Array, kind: int) -> None:
        code = wire.dtype_code(array.dtype)
        if array.flags.c_contiguous and array.size:
            start = address(array)
            if (arena := self._around(start)) is not None:
                out = self._outbox(to)
                out.lend(self.place, code, array.nbytes, arena, start - arena.start, kind)
                out.peer.wake(_from(self.place.rank))
                return
        if kind == SHARED:
            raise ValueError("only memory of `alloc` can be shared")
        self.send(to, array)

    def _around(self, start: int) -> Arena | None:
        """The arena of `alloc`, or that was shared, in which the address `start` lies."""
        return next((arena for arena in self._arenas.values() if arena.start <= start < arena.end), None)

    def _outbox(self, to: int) -> Outbox:
        if (found := self._out.get(to)) is None:
            if to not in self._in:
                raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
            found = self._out[to] = Outbox(self._peer(to), self.place.rank, self._arena)
        return found

    def _peer(self, rank: int) -> Peer:
        """Blocks, the first time, until `rank` is there."""
        if (found := self._peers.get(rank)) is None:
            pid, mailbox_fd, rope_fd = map(int, self.rendezvous.lookup(rank, self.watch).split())
            with self._gone(rank):
                found = self._peers[rank] = Peer(pid, mailbox_fd, rope_fd)
        return found

    @contextlib.contextmanager
    def _gone(self, rank: int) -> Iterator[None]:
        """What the operating system says of a process that is no more, in our words."""
        try:
            yield
        except OSError as error:
            raise self.unreachable(rank, error) from None

    def settle(self) -> None:
        end = time.monotonic() + self.deadline
        for peer, out in self._out.items():
            if not out.is_settled():
                self._wait(out.is_settled, _read_by(peer), (peer,), " to take what was sent to it", end)

    def trim(self) -> None:
        for peer in self._peers.values():
            peer.trim()

    # Receiving.

    def recv_into(self, from_: int, out: Array) -> None:
        elements = flat(out)
        elements[:] = self._message(from_, out)  # where it lies there already NumPy copies nothing
        self._took(from_)

    def recv_shared(self, from_: int, like: Array) -> Array:
        self._refuse_unless_crew(from_)
        shared = self._message(from_, like)
        slot = self._in[from_].slot()
        if slot.kind != SHARED:
            raise self.unexpected(from_, self._named(from_, slot), "memory to share")
        if self._around(address(shared)) is None:
            with self._gone(from_):
                arena = own_arena(slot.number)
            with self._short_of():
                arena = arena.again()
            self._arenas[arena.number] = arena
        self._took(from_)
        return shared.reshape(like.shape)

    def recv_add(self, from_: int, into: Array) -> None:
        elements = flat(into)
        np.add(elements, self._message(from_, into), elements)
        self._took(from_)

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        self._sum([flat(into)], from_, into, time.monotonic() + self.deadline)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        self._sum([], from_, out, time.monotonic() + self.deadline)

    def _sum(self, terms: list[Array], from_: Iterable[int], out: Array, end: float) -> None:
        """Receive a message from each of `from_`; `out` is the sum of `terms` and these, in that order.

        Blocks, until `end` (monotonic).
        """
        elements = flat(out)
        here: dict[int, Array] = {}  # messages by sender, in order, not yet added
        for sender in from_:
            if here and (sender in here or not self.has(sender)):
                self._add(elements, terms, here)  # before it waits: somebody may wait for these to be read
                terms, here = [elements], {}
            here[sender] = self._message(sender, out, end)
        self._add(elements, terms, here)

    def _add(self, elements: Array, terms: list[Array], messages: dict[int, Array]) -> None:
        """Leave the sum of `terms` and `messages` in `elements`, and let the senders know."""
        add_up([*terms, *messages.values()], elements)
        for sender in messages:
            self._took(sender)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        elements = flat(into)
        end = time.monotonic() + self.deadline
        exposed: dict[int, Slot] = {}
        places: list[Array] = []  # of the messages, and of the answers
        for sender in senders:
            places.append(self._message(sender, into, end))
            slot = self._in[sender].slot()
            if slot.kind != EXPOSED or sender in exposed:  # nothing has been taken so far
                self._sum([elements], senders, into, end)
                self.finish_and_lend(senders, into, finish)
                return
            exposed[sender] = slot
        add_up([elements, *places], elements, finish, places)
        for sender, slot in exposed.items():
            self._took(sender)
            out = self._outbox(sender)
            out.answer(slot)
            out.peer.wake(_from(self.place.rank))

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        if not from_:
            raise ValueError("waiting for nobody: give at least one rank")
        elements = flat(out)
        sender = self._ready(from_)
        slot = self._in[sender].slot()
        length = slot.length
        if slot.dtype != wire.dtype_code(out.dtype) or length > out.nbytes or length % out.itemsize:
            raise self.unexpected(sender, self._named(sender, slot), f"at most {out.nbytes} bytes of {out.dtype}")
        size = length // out.itemsize
        elements[:size] = self._payload(sender, slot, out.dtype)
        self._took(sender)
        return Message(sender, slot.step, slot.bucket, size)

    def _ready(self, from_: tuple[int, ...]) -> int:
        """A peer of `from_` with something to read; they take turns. Blocks."""
        turn = [peer for peer in from_ if peer > self._served] + [peer for peer in from_ if peer <= self._served]
        for peer in turn:
            self._channel(peer)
        what = _from(from_[0]) if len(from_) == 1 else ANYTHING
        self._wait(lambda: any(self.has(peer) for peer in turn) or bool(self.idle()), what, from_)
        self._served = next(peer for peer in turn if self.has(peer))
        return self._served

    def _message(self, from_: int, expected: Array, end: float | None = None) -> Array:
        """The next message from `from_`, where it lies, if it is as `expected`. Blocks, until `end` (monotonic)."""
        channel = self._channel(from_)
        if not self.has(from_):
            self._wait(lambda: self.has(from_), _from(from_), (from_,), end=end)
        slot = channel.slot()
        place = self.place
        if slot[:4] != (wire.dtype_code(expected.dtype), place.bucket, place.step, expected.nbytes):
            raise self.unexpected(from_, self._named(from_, slot), self.describe_expected(expected))
        return self._payload(from_, slot, expected.dtype)

    def has(self, from_: int) -> bool:
        channel = self._channel(from_)
        lane = channel.lane
        if lane.words[lane.written] <= channel.seq:
            return False
        if lane.moved(channel.seq):
            where = channel.slot()
            lane.go_on(self._memory(from_, where), where.length)
            self._took(from_)
            return lane.words[lane.written] > channel.seq
        return True

    def _channel(self, peer: int) -> _Incoming:
        try:
            return self._in[peer]
        except KeyError:
            raise ValueError(f"rank {peer} is no peer of rank {self.place.rank}") from None

    def _named(self, from_: int, slot: Slot) -> wire.Header:
        """The message, in the words of every transport."""
        return wire.Header(slot.dtype, from_, 0, self._in[from_].seq, 0, slot.step, slot.bucket, slot.length, 0)

    def _payload(self, from_: int, slot: Slot, dtype: np.dtype) -> Array:
        if not slot.length:
            return np.empty(0, dtype)
        return np.ndarray(slot.length // dtype.itemsize, dtype, self._memory(from_, slot), slot.offset)

    def _memory(self, owner: int, slot: Slot) -> Bytes:
        """The arena that the slot names: of `owner`, or of this rank, in which `owner` has answered it."""
        if slot.kind == ANSWER:
            return self._arenas[slot.number].memory
        peer = self._peer(owner)
        if (memory := peer.arenas.get(slot.number)) is None:
            with self._gone(owner):
                memory = peer.arena(slot.fd, slot.number)
        return memory

    def _took(self, from_: int) -> None:
        """Let the sender know that its message has been read."""
        channel, peer = self._in[from_], self._peer(from_)  # before it is told: then it may be gone
        channel.seq += 1
        channel.lane.words[channel.lane.taken] = channel.seq
        peer.wake(_read_by(self.place.rank))

    # Waiting.

    def _wait(
        self, ready: Callable[[], bool], what: int, peers: tuple[int, ...], why: str = "", end: float | None = None
    ) -> None:
        """Return when `ready`; `what` is what to be woken for. Waits for `peers` until `end` (monotonic) at most."""
        for _ in range(LOOKS):
            if ready():
                return
            os.sched_yield()
        if end is None:
            end = time.monotonic() + self.deadline
        while not ready():
            if not self._doze(ready, what, WAIT_SLICE):
                self.check(end, any_of(peers) + why, peers)

    def _doze(self, ready: Callable[[], bool], what: int, seconds: float) -> bool:
        """Sleep until woken for `what`, or for `seconds`; returns whether it is `ready`."""
        self._bell.announce(what)
        if ready():
            self._bell.awake()
            return True
        if self.beside(self._bell.wake_read):
            self._bell.hear()
            self._bell.awake()
        else:
            self._bell.sleep(seconds)
        return ready()

    def doze_beside(self, ready: Callable[[], bool], sleep: Callable[[int], None]) -> None:
        """Unless `ready`, call `sleep` with a file that can be read once anything has come for this endpoint."""
        self._bell.announce(ANYTHING)
        if not ready():
            sleep(self._bell.wake_read)
            self._bell.hear()
        self._bell.awake()

    def close(self, *, linger: float = 0.0) -> None:
        """As the contract says. What was sent lies in this rank's memory: it lingers until peers have read it."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + linger
        while self._unread and (left := end - time.monotonic()) > 0:
            self._doze(lambda: not self._unread, ANYTHING, min(left, WAIT_SLICE))
        for out in self._out.values():
            out.close()
        for peer in self._peers.values():
            peer.close()
        for arena in [*self._arenas.values(), self._mailbox]:
            arena.close()
        self._bell.close()
        self._out, self._peers, self._arenas = {}, {}, {}

    @property
    def _unread(self) -> bool:
        return any(out.unread for out in self._out.values())
