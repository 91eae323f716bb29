"""Copies of sent arrays, kept in memory that the receiver maps until it has read them."""

from collections import deque
from collections.abc import Callable

from common.transport.base import Bytes
from common.transport.shm.arena import Arena
from common.transport.shm.mailbox import CACHE_LINE

FIRST_BYTES = 1 << 16  # size of the first arena


class StagingRing:
    """A ring of copies in an arena, for one sender and one receiver. When it is full, a larger arena takes over."""

    def __init__(self, new_arena: Callable[[int], Arena]) -> None:
        self._new_arena = new_arena
        self._arena: Arena | None = None
        self._head = 0  # where the next copy may start
        self._copies: deque[tuple[int, int]] = deque()  # (message, start of its copy) in the arena, oldest first
        self._retired: deque[tuple[int, Arena]] = deque()  # (last message in it, arena), oldest first

    def put(self, data: Bytes, seq: int, taken: int) -> tuple[Arena, int]:
        """Copy message `seq` and return its arena and offset. All messages below `taken` have been read. OSError."""
        while self._copies and self._copies[0][0] < taken:
            self._copies.popleft()
        while self._retired and self._retired[0][0] < taken:
            self._retired.popleft()[1].close()
        space = -(-data.size // CACHE_LINE) * CACHE_LINE
        arena, start = self._arena, self._find_room(space)
        if arena is None or start is None:
            arena, start = self._grow(space, seq - 1), 0
        arena.memory[start : start + data.size] = data
        self._copies.append((seq, start))
        self._head = start + space
        return arena, start

    def _find_room(self, space: int) -> int | None:
        """Return where `space` bytes are free in the ring, or None. The head never catches up with the tail."""
        if self._arena is None:
            return None
        if not self._copies:
            self._head = 0
        tail = self._copies[0][1] if self._copies else 0
        if self._head >= tail:
            if self._head + space <= self._arena.memory.size:
                return self._head
            return 0 if space < tail else None
        return self._head if self._head + space < tail else None

    def _grow(self, space: int, last: int) -> Arena:
        """Replace the arena by one of twice its size; the old one is closed once message `last` has been read."""
        before = 0 if self._arena is None else self._arena.memory.size
        larger = self._new_arena(max(FIRST_BYTES, 2 * before, space))
        if self._arena is not None:
            self._retired.append((last, self._arena))
        self._arena = larger
        self._copies.clear()
        return larger

    def close(self) -> None:
        for _, arena in self._retired:
            arena.close()
        if self._arena is not None:
            self._arena.close()
        self._retired.clear()
        self._arena = None
