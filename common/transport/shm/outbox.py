"""What a rank sends to another in shared memory, announced in the peer's mailbox. It lies in arenas of the sender.

Or, if it answers what the peer has exposed, there.
"""

from __future__ import annotations

from collections.abc import Callable

from common.place import Place
from common.transport.shm.arena import Arena, Bytes
from common.transport.shm.mailbox import ANSWER, GROWTH, LENT, LINE, MOVED, Lane, Peer, Slot
from common.transport.shm.staging import Stage


class Outbox:
    """One sender's way to one receiver. `allocate` makes an arena of so many bytes, and may raise."""

    def __init__(self, peer: Peer, sender: int, allocate: Callable[[int], Arena]) -> None:
        self.peer = peer
        self._lane = Lane(peer.memory, sender)
        self._allocate = allocate
        self._stage = Stage(allocate)
        self._rings: list[Arena] = []
        self._seq = 0  # slots filled
        self._lent = 0  # slots up to the last message lent

    @property
    def taken(self) -> int:
        """How many of the slots the receiver is done with."""
        return self._lane.words[self._lane.taken]

    def is_settled(self) -> bool:
        """Whether everything lent has been read."""
        return self.taken >= self._lent

    @property
    def unread(self) -> bool:
        """Whether the receiver lives and has something left to read."""
        return self.taken < self._seq and self.peer.alive

    def copy(self, place: Place, code: int, data: Bytes) -> None:
        """Announce a copy of `data`, which is of the dtype `code`."""
        self._make_room()
        if not data.size:
            self._put(place, code, 0)
            return
        arena, offset = self._stage.put(data, self._seq, self.taken)
        self._put(place, code, data.size, LENT, arena, offset)

    def lend(self, place: Place, code: int, nbytes: int, arena: Arena, offset: int, kind: int = LENT) -> None:
        """Announce what lies at `offset` of `arena`."""
        self._make_room()
        self._put(place, code, nbytes, kind, arena, offset)
        self._lent = self._seq

    def answer(self, exposed: Slot) -> None:
        """Announce that the answer to what the receiver has `exposed` lies there."""
        self._make_room()
        self._lane.put(self._seq, exposed._replace(kind=ANSWER))
        self._seq += 1

    def _put(
        self, place: Place, code: int, nbytes: int, kind: int = LENT, arena: Arena | None = None, offset: int = 0
    ) -> None:
        fd, number = (arena.fd, arena.number) if arena else (0, 0)
        self._lane.put(self._seq, (code, place.bucket, place.step, nbytes, kind, fd, number, offset))
        self._seq += 1

    def _make_room(self) -> None:
        """Let a slot be free; if it is the last one, it says that the lane goes on in a larger ring.

        Comes before anything that is known by the number of its slot.
        """
        count = self._lane.count
        if self._seq - self.taken < count - 1:
            return
        ring = self._allocate(GROWTH * count * LINE)
        self._rings.append(ring)
        self._lane.put(self._seq, Slot(MOVED, 0, 0, GROWTH * count, LENT, ring.fd, ring.number))
        self._lane.go_on(ring.memory, GROWTH * count)
        self._seq += 1

    def close(self) -> None:
        """Let go of the memory; what the receiver has mapped stays his."""
        self._stage.close()
        for ring in self._rings:
            ring.close()
