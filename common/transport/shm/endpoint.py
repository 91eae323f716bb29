"""The shared-memory transport: messages are announced in mailboxes and read in place in the sender's memory.

Theory of operation. Rank s sends to rank r in six steps; everything stays outside the kernel but the doorbell:

    1. s has the payload in an arena: in memory of `alloc`, which it lends in place, or as a copy in its outbox.
    2. s fills a slot of its lane in r's mailbox, then raises `written` (mailbox.py says why the order is safe).
    3. s rings r's doorbell if r sleeps for this message (doorbell.py says why r cannot miss it).
    4. r finds `written` above its own count `seq`, compares the slot with what it wants, maps the arena at its first
       use, and copies or adds straight out of it.
    5. r raises `taken`. Before that it has opened s's doorbell, since s may exit as soon as `taken` is raised.
    6. r rings s's doorbell if s sleeps for this: s may now reuse the memory, and `settle` returns.

What is *exposed* may be overwritten by its reader: r writes the answer over the message, raises `taken`, and then
announces an ANSWER in s's mailbox that points to the same memory. Between steps 2 and the ANSWER, s does not touch it.

A wait looks LOOKS times and gives way to other processes in between. Then it sleeps: the rank for which it waits may
need the core. A dead rank is noticed when its mailbox or an arena has to be opened; otherwise `watch` reports the
death. What it lent stays readable where it is mapped.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np

from common.transport import wire
from common.transport.base import Bytes, Message, address, as_bytes, flat
from common.transport.shm.arena import own_arena
from common.transport.shm.blockwise_sum import add_up
from common.transport.shm.doorbell import ANY_EVENT, arrival_from, reading_by
from common.transport.shm.mailbox import ANSWER, EXPOSED, LENT, SHARED, Slot
from common.transport.shm.mailbox_endpoint import MailboxEndpoint
from common.types import Array


class ShmEndpoint(MailboxEndpoint):
    """A `MailboxEndpoint` that sends and receives messages."""

    # Sending.

    def send(self, to: int, array: Array) -> None:
        code, data = wire.dtype_code(array.dtype), as_bytes(array)
        outbox = self._outbox(to)
        outbox.copy(self.place, code, data)
        outbox.doorbell.ring(arrival_from(self.place.rank))

    def lend(self, to: int, array: Array) -> None:
        self._lend(to, array, LENT)

    def expose(self, to: int, array: Array) -> None:
        self._lend(to, array, EXPOSED)

    def share(self, to: int, array: Array) -> None:
        if to not in self.crew:
            raise self.no_shared_memory(to)
        self._lend(to, array, SHARED)

    def _lend(self, to: int, array: Array, kind: int) -> None:
        code = wire.dtype_code(array.dtype)
        if array.flags.c_contiguous and array.size:
            start = address(array)
            if (arena := self._memory.arena_at(start)) is not None:
                outbox = self._outbox(to)
                outbox.lend(self.place, code, array.nbytes, arena, start - arena.start, kind)
                outbox.doorbell.ring(arrival_from(self.place.rank))
                return
        if kind == SHARED:
            raise ValueError("only memory of `alloc` can be shared")
        self.send(to, array)

    def settle(self) -> None:
        end = time.monotonic() + self.deadline
        for rank, outbox in self._outboxes.items():
            if not outbox.is_settled():
                self._wait(outbox.is_settled, reading_by(rank), (rank,), " to take what was sent to it", end)

    # Receiving.

    def recv_into(self, from_: int, out: Array) -> None:
        elements = flat(out)
        elements[:] = self._message(from_, out)  # NumPy copies nothing if the message lies there already
        self._mark_taken(from_)

    def recv_shared(self, from_: int, like: Array) -> Array:
        if from_ not in self.crew:
            raise self.no_shared_memory(from_)
        shared = self._message(from_, like)
        slot = self._inboxes[from_].slot()
        if slot.kind != SHARED:
            raise self.unexpected(from_, self._describe(from_, slot), "memory to share")
        if self._memory.arena_at(address(shared)) is None:
            with self._peer_errors(from_):
                arena = own_arena(slot.arena_number)
            self._memory.add(arena)
        self._mark_taken(from_)
        return shared.reshape(like.shape)

    def recv_add(self, from_: int, into: Array) -> None:
        elements = flat(into)
        np.add(elements, self._message(from_, into), elements)
        self._mark_taken(from_)

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        self._sum([flat(into)], from_, into, time.monotonic() + self.deadline)

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        self._sum([], from_, out, time.monotonic() + self.deadline)

    def _sum(self, terms: list[Array], from_: Iterable[int], out: Array, end: float) -> None:
        """Write the sum of `terms` and a message of each of `from_`, in order, to `out`. Blocks until `end` at most."""
        elements = flat(out)
        messages: dict[int, Array] = {}  # by sender, in order, not yet added
        for sender in from_:
            if messages and (sender in messages or not self.has(sender)):
                self._add(elements, terms, messages)  # before the wait: another rank may wait for this reading
                terms, messages = [elements], {}
            messages[sender] = self._message(sender, out, end)
        self._add(elements, terms, messages)

    def _add(self, elements: Array, terms: list[Array], messages: dict[int, Array]) -> None:
        """Write the sum of `terms` and `messages` to `elements`, and tell the senders that it has read them."""
        add_up([*terms, *messages.values()], elements)
        for sender in messages:
            self._mark_taken(sender)

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        elements = flat(into)
        end = time.monotonic() + self.deadline
        exposed: dict[int, Slot] = {}
        messages: list[Array] = []  # the answers are written over them
        for sender in senders:
            messages.append(self._message(sender, into, end))
            slot = self._inboxes[sender].slot()
            if slot.kind != EXPOSED or sender in exposed:  # start again: nothing has been taken so far
                self._sum([elements], senders, into, end)
                self.finish_and_lend(senders, into, finish)
                return
            exposed[sender] = slot
        add_up([elements, *messages], elements, finish, messages)
        for sender, slot in exposed.items():
            self._mark_taken(sender)
            outbox = self._outbox(sender)
            outbox.answer(slot)
            outbox.doorbell.ring(arrival_from(self.place.rank))

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        if not from_:
            raise ValueError("waiting for nobody: give at least one rank")
        elements = flat(out)
        last = self._last_served
        turn = [rank for rank in from_ if rank > last] + [rank for rank in from_ if rank <= last]
        for rank in turn:
            self._inbox(rank)
        event = arrival_from(from_[0]) if len(from_) == 1 else ANY_EVENT
        self._wait(lambda: any(self.has(rank) for rank in turn) or bool(self.idle()), event, from_)
        sender = self._last_served = next(rank for rank in turn if self.has(rank))
        slot = self._inboxes[sender].slot()
        length = slot.length
        if slot.dtype != wire.dtype_code(out.dtype) or length > out.nbytes or length % out.itemsize:
            raise self.unexpected(sender, self._describe(sender, slot), f"at most {out.nbytes} bytes of {out.dtype}")
        size = length // out.itemsize
        elements[:size] = self._payload(sender, slot, out.dtype)
        self._mark_taken(sender)
        return Message(sender, slot.step, slot.bucket, size)

    def _message(self, from_: int, expected: Array, end: float | None = None) -> Array:
        """Return the next message from `from_` in place, if it fits `expected`. Blocks until `end` (monotonic)."""
        inbox = self._inbox(from_)
        if not self.has(from_):
            self._wait(lambda: self.has(from_), arrival_from(from_), (from_,), end=end)
        slot = inbox.slot()
        place = self.place
        if slot[:4] != (wire.dtype_code(expected.dtype), place.bucket, place.step, expected.nbytes):
            raise self.unexpected(from_, self._describe(from_, slot), self.describe_expected(expected))
        return self._payload(from_, slot, expected.dtype)

    def has(self, from_: int) -> bool:
        inbox = self._inbox(from_)
        lane = inbox.lane
        if lane.words[lane.written] <= inbox.seq:
            return False
        if lane.moved(inbox.seq):
            slot = inbox.slot()
            lane.use_ring(self._arena_of(from_, slot), slot.length)
            self._mark_taken(from_)
            return lane.words[lane.written] > inbox.seq
        return True

    def _describe(self, from_: int, slot: Slot) -> wire.Header:
        """Return the message as a header, whose text is the same for every transport."""
        return wire.Header(slot.dtype, from_, 0, self._inboxes[from_].seq, 0, slot.step, slot.bucket, slot.length, 0)

    def _payload(self, from_: int, slot: Slot, dtype: np.dtype) -> Array:
        if not slot.length:
            return np.empty(0, dtype)
        return np.ndarray(slot.length // dtype.itemsize, dtype, self._arena_of(from_, slot), slot.offset)

    def _arena_of(self, owner: int, slot: Slot) -> Bytes:
        """Return the arena that the slot names: one of `owner`, or of this rank if `owner` has answered in place."""
        if slot.kind == ANSWER:
            return self._memory.arenas[slot.arena_number].memory
        peer = self._peer(owner)
        if (memory := peer.arenas.get(slot.arena_number)) is None:
            with self._peer_errors(owner):
                memory = peer.map_arena(slot.arena_fd, slot.arena_number)
        return memory

    def _mark_taken(self, from_: int) -> None:
        """Tell the sender that its message has been read."""
        inbox, peer = self._inboxes[from_], self._peer(from_)  # the peer first: it may exit once `taken` is raised
        inbox.seq += 1
        inbox.lane.words[inbox.lane.taken] = inbox.seq
        peer.doorbell.ring(reading_by(self.place.rank))
