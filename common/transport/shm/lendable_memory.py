"""The memory that one rank lends in place."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from common.errors import RunError
from common.place import Place
from common.transport.shm.arena import Arena
from common.types import Array


@contextlib.contextmanager
def memory_errors(place: Place) -> Iterator[None]:
    """Turn an OSError of an allocation into a RunError at `place`."""
    try:
        yield
    except OSError as error:
        traceback.clear_frames(error.__traceback__)  # their variables may refer to a mapping
        raise RunError(f"no more shared memory: {error.strerror or error}", **place.fields()) from None


class LendableMemory:
    """The arenas that a rank has allocated with `alloc` or that its crew has shared with it, by number."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.arenas: dict[int, Arena] = {}

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Allocate a zeroed array that peers read in place when it is lent. RunError if memory is short."""
        dtype = np.dtype(dtype)
        arena = self.new_arena(math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize)
        self.arenas[arena.number] = arena
        return arena.array(shape, dtype)

    def new_arena(self, nbytes: int) -> Arena:
        """Allocate an arena that the caller closes. RunError if memory is short."""
        with memory_errors(self.place):
            return Arena(nbytes)

    def arena_at(self, start: int) -> Arena | None:
        """Return the arena in which the address `start` lies, if any."""
        return next((arena for arena in self.arenas.values() if arena.start <= start < arena.end), None)

    def add(self, shared: Arena) -> None:
        """Lend in place also what lies in the arena `shared` of another rank of this process."""
        with memory_errors(self.place):
            arena = shared.duplicate()
        self.arenas[arena.number] = arena

    def close(self) -> None:
        """Close all arenas."""
        for arena in self.arenas.values():
            arena.close()
        self.arenas.clear()
