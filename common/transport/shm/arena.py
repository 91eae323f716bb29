"""Arenas: memory that the ranks of one host read in place.

An arena is an anonymous file in memory (memfd) of mode 0600, which disappears with its last user, however that user
ends. Peers of the same user, and no others, can open it through /proc/<pid>/fd. The ranks of a process share a mapping.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import itertools
import math
import mmap
import os
import platform
import stat
import sys
import traceback
import weakref
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from common.errors import RunError
from common.place import Place
from common.transport.base import Bytes, address
from common.types import Array


def reason_against() -> str | None:
    """Return why the ranks of this machine cannot share memory, or None if they can.

    The counters in a mailbox need stores that become visible in program order. Only x86 guarantees this order.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "memfd_create"):
        return "it needs Linux"
    if platform.machine().lower() not in ("x86_64", "amd64") or sys.maxsize < 1 << 32:
        return f"it needs a 64-bit x86 processor, this is {platform.machine()}"
    try:
        with contextlib.closing(Arena(1)) as arena:
            peers_arena(os.getpid(), arena.fd)
    except OSError as error:
        return f"it needs memory that can be opened in /proc ({error.strerror or error})"
    return None


_numbers = itertools.count(1)
_open_arenas: weakref.WeakValueDictionary[int, Arena] = weakref.WeakValueDictionary()  # of this process, by number


class Arena:
    """`nbytes` zeroed bytes of this process that peers can map. No other arena of the process ever has its `number`.

    OSError if `nbytes` is more than the machine has. The system provides a page at its first use, and can run out then.
    """

    def __init__(self, nbytes: int) -> None:
        self.number = next(_numbers)
        self.fd = os.memfd_create("syncbench", os.MFD_CLOEXEC)
        try:
            os.fchmod(self.fd, stat.S_IRUSR | stat.S_IWUSR)
            if nbytes > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):  # the system would fail too late
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            os.ftruncate(self.fd, max(1, nbytes))
            self.memory: Bytes = _map(self.fd)
        except BaseException:
            os.close(self.fd)
            raise
        self.start = address(self.memory)
        self.end = self.start + self.memory.size
        _open_arenas[self.number] = self

    def array(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the start of the arena as an array."""
        return np.ndarray(shape, dtype, self.memory)

    def duplicate(self) -> Arena:
        """Return a second arena of the same memory, to be closed separately. OSError if no more files can be opened."""
        other = copy.copy(self)
        other.number, other.fd = next(_numbers), os.dup(self.fd)
        _open_arenas[other.number] = other
        return other

    def close(self) -> None:
        """Close the file. The memory lives, and keeps a file open, for as long as any array refers to it."""
        if self.fd >= 0:
            del _open_arenas[self.number]
            os.close(self.fd)
            self.fd = -1


def own_arena(number: int) -> Arena:
    """Return this process's arena of that `number`. OSError if it is closed."""
    if (arena := _open_arenas.get(number)) is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return arena


def peers_arena(pid: int, fd: int) -> Bytes:
    """Map the arena that process `pid` has open as `fd`. OSError if the process or its arena is gone."""
    own_fd = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    try:
        return _map(own_fd)
    finally:
        os.close(own_fd)


def forget(memory: Bytes) -> None:
    """Unmap the pages of a mapped arena from this process. Their content stays; a later access maps them again."""
    memory.base.obj.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr] # `_map` made it


def _map(fd: int) -> Bytes:
    return np.frombuffer(mmap.mmap(fd, 0), np.uint8)


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
        for arena in self.arenas.values():
            arena.close()
        self.arenas.clear()
