"""Copies of what was sent, in memory that the receiver maps, until it has read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from common.transport.shm.arena import Arena, Bytes
from common.transport.shm.mailbox import LINE

FIRST = 1 << 16  # bytes that the first arena has


class Stage:
    """What one sender has copied for one receiver: a ring in an arena; a larger arena takes over when it is full."""

    def __init__(self, allocate: Callable[[int], Arena]) -> None:
        self._allocate = allocate
        self._arena: Arena | None = None
        self._head = 0  # where the next copy may start
        self._copies: deque[tuple[int, int]] = deque()  # (message, where its copy starts) in the arena, oldest first
        self._retired: deque[tuple[int, Arena]] = deque()  # (last message in it, arena), oldest first

    def put(self, data: Bytes, seq: int, taken: int) -> tuple[Arena, int]:
        """Copy message `seq`; all below `taken` have been read. Returns where it lies. OSError if memory is short."""
        while self._copies and self._copies[0][0] < taken:
            self._copies.popleft()
        while self._retired and self._retired[0][0] < taken:
            self._retired.popleft()[1].close()
        space = -(-data.size // LINE) * LINE
        start = self._room(space)
        if self._arena is None or start is None:
            arena, start = self._grow(space, seq - 1), 0
        else:
            arena = self._arena
        arena.memory[start : start + data.size] = data
        self._copies.append((seq, start))
        self._head = start + space
        return arena, start

    def _room(self, space: int) -> int | None:
        """Where `space` bytes are free in the ring; None if nowhere. Its head never catches up with its tail."""
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
        """A new arena, twice as large as the one before, which goes when message `last` has been read."""
        before = 0 if self._arena is None else self._arena.memory.size
        larger = self._allocate(max(FIRST, 2 * before, space))
        if self._arena is not None:
            self._retired.append((last, self._arena))
        self._arena = larger
        self._copies.clear()
        return larger

    def close(self) -> None:
        """Let go of all arenas."""
        for _, arena in self._retired:
            arena.close()
        if self._arena is not None:
            self._arena.close()
        self._retired.clear()
        self._arena = None
