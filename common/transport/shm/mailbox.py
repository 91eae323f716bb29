"""Mailboxes: where messages are announced, in memory that a receiver shares with its senders.

A *mailbox* belongs to a receiver. Each sender has a *lane* in it: two counters, and a ring of slots. A slot describes a
message and says where its payload lies. Each counter and each slot has a cache line of its own.

    line 0           asleep    the event that the receiver sleeps for (doorbell.py)
    lane s: line 0   written   slots that sender s has filled since the start; the sender alone writes it
            line 1   taken     slots that the receiver has finished with; the receiver alone writes it
            others   slots     one for each message, in turn; the sender alone writes them

Theory of operation. A sender writes the payload, then the slot, then raises `written`. x86 makes stores visible in this
order, so a receiver that sees the raised counter also sees the slot and the payload. The receiver reads the payload,
then raises `taken`. Only after that does the sender reuse the slot, overwrite the payload, or end a `settle`. Each
counter is one aligned word with one writer and only grows, so nothing is locked and nothing is lost.

A sender never waits for a free slot. It fills the last one with MOVED, which names a larger ring in an arena of the
sender's; both sides use that ring from the next slot on, and slot n is at n modulo the ring's size.

A sender that dies before it has raised `written` has sent nothing. What it announced earlier can be read if its arena
is mapped already; otherwise opening the arena fails. Senders can go on writing to the mailbox of a receiver that died.
"""

import os
import struct
from typing import NamedTuple

from common.transport.base import Bytes
from common.transport.shm.arena import Arena, forget, own_arena, peers_arena
from common.transport.shm.doorbell import PeerDoorbell

CACHE_LINE = 64  # bytes
WORDS_PER_LINE = CACHE_LINE // 8
SLOTS = 32  # in a lane's first ring
GROWTH = 4
LANE_LINES = 2 + SLOTS
MOVED = 255  # in place of a dtype: the lane goes on in a ring of `length` slots
# Kinds of messages. The reader may write its answer into an EXPOSED one; a SHARED one stays open to the reader.
LENT, EXPOSED, ANSWER, SHARED = range(4)
_SLOT = struct.Struct("<BxxxIqQIIIQ")


class Slot(NamedTuple):
    """The description of a message. Its payload lies in an arena of the sender, or of the receiver for an ANSWER."""

    dtype: int
    bucket: int
    step: int
    length: int
    kind: int = LENT
    arena_fd: int = 0
    arena_number: int = 0
    offset: int = 0


class Lane:
    """One sender's lane in one receiver's mailbox. Both sides use this class."""

    __slots__ = ("count", "first", "ring", "taken", "words", "written")

    def __init__(self, memory: Bytes, sender: int) -> None:
        line = 1 + sender * LANE_LINES
        self.words = memory.data.cast("q")
        self.written = line * WORDS_PER_LINE  # index of the word
        self.taken = (line + 1) * WORDS_PER_LINE
        self.use_ring(memory, SLOTS, (line + 2) * CACHE_LINE)

    def use_ring(self, memory: Bytes, count: int, first: int = 0) -> None:
        """From now on, use the ring of `count` slots that starts at byte `first` of `memory`."""
        self.ring, self.count, self.first = memory.data, count, first

    def put(self, seq: int, slot: tuple[int, ...]) -> None:
        """Fill slot `seq`, which must be free, and announce it."""
        _SLOT.pack_into(self.ring, self.first + seq % self.count * CACHE_LINE, *slot)
        self.words[self.written] = seq + 1  # last: the receiver reads the slot as soon as it sees this

    def get(self, seq: int) -> Slot:
        """Return slot `seq`, which must be filled."""
        return Slot(*_SLOT.unpack_from(self.ring, self.first + seq % self.count * CACHE_LINE))

    def moved(self, seq: int) -> bool:
        """Return whether the lane goes on in another ring after slot `seq`, which must be filled."""
        return self.ring[self.first + seq % self.count * CACHE_LINE] == MOVED


def mailbox(senders: int) -> Arena:
    """Allocate a mailbox with a lane for each of `senders` senders."""
    return Arena(CACHE_LINE * (1 + senders * LANE_LINES))


class Peer:
    """Another rank's mailbox, doorbell and arenas, mapped here. OSError if that rank is gone."""

    def __init__(self, pid: int, mailbox_fd: int, doorbell_fd: int) -> None:
        self.pid = pid
        wake_write = os.open(f"/proc/{pid}/fd/{doorbell_fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.mailbox = peers_arena(pid, mailbox_fd)
        except BaseException:
            os.close(wake_write)
            raise
        self.doorbell = PeerDoorbell(self.mailbox, wake_write)
        self.arenas: dict[int, Bytes] = {}

    def map_arena(self, fd: int, number: int) -> Bytes:
        """Map the peer's arena `number`, at its first use, and return its memory."""
        found = own_arena(number).memory if self.pid == os.getpid() else peers_arena(self.pid, fd)
        self.arenas[number] = found
        return found

    def trim(self) -> None:
        """Unmap the pages of the peer's arenas from this process until they are read again."""
        for memory in self.arenas.values():
            forget(memory)
