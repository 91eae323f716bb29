"""Where a rank's messages are announced: counters and slots in memory that it shares with its peers.

A *mailbox* belongs to a receiver. Each sender has a *lane* in it: a ring of slots with two counters, `written` (by
the sender alone) and `taken` (by the receiver alone). A slot describes a message; the payload lies in an arena of the
sender's, or, if it is an answer, in one of the receiver's. Each word has one writer, so nothing is locked. Every word
or slot has a cache line of its own.

    line 0           asleep    what the receiver sleeps for: 0 if it is awake, see `Bell`
    lane s: line 0   written   slots filled by sender s since the start
            line 1   taken     those of them that the receiver is done with
            others   slots     one a message, in turn

A sender never waits for a slot: into the last free one it writes that the lane goes on elsewhere, in a larger ring in
an arena of its own.

Who is to be woken sleeps on a pipe, its *bell*. The two sides cannot miss each other: a sleeper says what it waits for
and *then* looks once more, the other writes and *then* looks whether somebody sleeps; a fence stands in between.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
from typing import NamedTuple

from common.transport.shm.arena import Arena, Bytes, forget, own_arena, peers_arena

LINE = 64  # bytes of a cache line
WORDS = LINE // 8
SLOTS = 32  # in a lane's first ring
GROWTH = 4
LANE = 2 + SLOTS  # lines of a lane
MOVED = 255  # instead of a dtype: the lane goes on in a ring of `length` slots
ANYTHING = -1  # asleep for whatever comes first
# Kinds of messages: into what is exposed the reader may write its answer; what is shared stays the reader's, too.
LENT, EXPOSED, ANSWER, SHARED = range(4)
_SLOT = struct.Struct("<BxxxIqQIIIQ")


class Slot(NamedTuple):
    """A message: what it is, and where its payload lies in the sender's arenas, or an ANSWER's in the receiver's."""

    dtype: int
    bucket: int
    step: int
    length: int
    kind: int = LENT
    fd: int = 0
    number: int = 0
    offset: int = 0


class Lane:
    """One sender's lane in one receiver's mailbox, seen from either side."""

    __slots__ = ("count", "first", "ring", "taken", "words", "written")

    def __init__(self, memory: Bytes, sender: int) -> None:
        line = 1 + sender * LANE
        self.words = memory.data.cast("q")
        self.written = line * WORDS  # the word's index
        self.taken = (line + 1) * WORDS
        self.go_on(memory, SLOTS, (line + 2) * LINE)

    def go_on(self, memory: Bytes, count: int, first: int = 0) -> None:
        """Use the ring of `count` slots that starts at byte `first` of `memory` from now on."""
        self.ring, self.count, self.first = memory.data, count, first

    def put(self, seq: int, slot: tuple[int, ...]) -> None:
        """Fill slot `seq`, which must be free."""
        _SLOT.pack_into(self.ring, self.first + seq % self.count * LINE, *slot)
        self.words[self.written] = seq + 1

    def get(self, seq: int) -> Slot:
        """Slot `seq`, which must be filled."""
        return Slot(*_SLOT.unpack_from(self.ring, self.first + seq % self.count * LINE))

    def moved(self, seq: int) -> bool:
        """Whether the lane goes on elsewhere after slot `seq`, which must be filled."""
        return self.ring[self.first + seq % self.count * LINE] == MOVED


def mailbox(senders: int) -> Arena:
    """The memory of a mailbox with a lane for each of `senders`."""
    return Arena(LINE * (1 + senders * LANE))


class Fence:
    """Called, lets no later load overtake an earlier store: taking a lock is atomic, and so a full barrier."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            pass


class Peer:
    """Another rank's mailbox and bell. OSError if that rank is gone."""

    def __init__(self, pid: int, mailbox_fd: int, rope_fd: int) -> None:
        self.pid = pid
        self.memory = peers_arena(pid, mailbox_fd)
        self.words = self.memory.data.cast("q")
        self.wake_write = os.open(f"/proc/{pid}/fd/{rope_fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.arenas: dict[int, Bytes] = {}
        self._fence = Fence()

    def wake(self, what: int) -> None:
        """Ring if it sleeps for `what`. Call it after the change that it may sleep for."""
        self._fence()
        if self.words[0] in (what, ANYTHING):
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it rings already; broken: it is gone
                os.write(self.wake_write, b"!")

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet, nor closed its bell."""
        wake_write = select.poll()
        wake_write.register(self.wake_write, 0)
        return not wake_write.poll(0)

    def arena(self, fd: int, number: int) -> Bytes:
        """Its arena `number`; another process's is mapped when it is first asked for."""
        if (found := self.arenas.get(number)) is None:
            found = own_arena(number).memory if self.pid == os.getpid() else peers_arena(self.pid, fd)
            self.arenas[number] = found
        return found

    def trim(self) -> None:
        """Let the pages of its arenas not count as this process's own any longer, until they are read again."""
        for memory in self.arenas.values():
            forget(memory)

    def close(self) -> None:
        os.close(self.wake_write)
