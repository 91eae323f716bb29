"""One sender's messages to one receiver in shared memory, announced in the receiver's mailbox."""

from collections.abc import Callable

from common.place import Place
from common.transport.base import Bytes
from common.transport.shm.arena import Arena
from common.transport.shm.mailbox import ANSWER, CACHE_LINE, GROWTH, LENT, MOVED, Lane, Peer, Slot
from common.transport.shm.staging import StagingRing


class Outbox:
    """The sender's end. `new_arena` allocates an arena of so many bytes and may raise."""

    def __init__(self, peer: Peer, sender: int, new_arena: Callable[[int], Arena]) -> None:
        self.doorbell = peer.doorbell
        self._lane = Lane(peer.mailbox, sender)
        self._new_arena = new_arena
        self._staging = StagingRing(new_arena)
        self._rings: list[Arena] = []  # larger rings of slots that took over from the one in the mailbox
        self._seq = 0  # slots filled
        self._lent = 0  # slots up to the last message lent

    @property
    def taken(self) -> int:
        """The number of slots that the receiver has finished with."""
        return self._lane.words[self._lane.taken]

    def is_settled(self) -> bool:
        """Return whether everything lent has been read."""
        return self.taken >= self._lent

    @property
    def unread(self) -> bool:
        """Whether the receiver is alive and has something left to read."""
        return self.taken < self._seq and self.doorbell.alive

    def copy(self, place: Place, code: int, data: Bytes) -> None:
        """Announce a copy of `data`, which is of the dtype `code`."""
        self._make_room()
        arena, offset = self._staging.put(data, self._seq, self.taken) if data.size else (None, 0)
        self._put(place, code, data.size, LENT, arena, offset)

    def lend(self, place: Place, code: int, nbytes: int, arena: Arena, offset: int, kind: int) -> None:
        """Announce the `nbytes` that start at `offset` of `arena`."""
        self._make_room()
        self._put(place, code, nbytes, kind, arena, offset)
        self._lent = self._seq

    def answer(self, exposed: Slot) -> None:
        """Announce that the answer to the receiver's message `exposed` has been written over that message."""
        self._make_room()
        self._lane.put(self._seq, exposed._replace(kind=ANSWER))
        self._seq += 1

    def _put(self, place: Place, code: int, nbytes: int, kind: int, arena: Arena | None, offset: int) -> None:
        fd, number = (arena.fd, arena.number) if arena else (0, 0)
        self._lane.put(self._seq, (code, place.bucket, place.step, nbytes, kind, fd, number, offset))
        self._seq += 1

    def _make_room(self) -> None:
        """If only the last slot is free, use it up to move the lane to a larger ring. Call this before using `_seq`."""
        count = self._lane.count
        if self._seq - self.taken < count - 1:
            return
        ring = self._new_arena(GROWTH * count * CACHE_LINE)
        self._rings.append(ring)
        self._lane.put(self._seq, Slot(MOVED, 0, 0, GROWTH * count, LENT, ring.fd, ring.number))
        self._lane.use_ring(ring.memory, GROWTH * count)
        self._seq += 1

    def close(self) -> None:
        """Close this side's arenas. What the receiver has mapped remains readable to it."""
        self._staging.close()
        for ring in self._rings:
            ring.close()
