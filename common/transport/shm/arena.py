"""Memory that the ranks of one host read in place.

An arena is an anonymous file in memory (memfd), mode 0600: it has no name, so nothing is left behind however its last
user ends. Peers open it through /proc/<pid>/fd, which the system allows to processes of the same user alone. Ranks of
one process have one mapping of it.
"""

from __future__ import annotations

import copy
import errno
import itertools
import mmap
import os
import platform
import stat
import sys
import weakref
from ctypes import addressof, c_char

import numpy as np
from numpy.typing import DTypeLike, NDArray

from common.types import Array

Bytes = NDArray[np.uint8]


def reason_against() -> str | None:
    """Why ranks cannot share memory on this machine; None if they can.

    The transport's flags rely on stores being seen in the order in which they were made, which x86 promises and
    others do not, and Python has no fences to ask for it.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "memfd_create"):
        return "it needs Linux"
    if platform.machine().lower() not in ("x86_64", "amd64") or sys.maxsize < 1 << 32:
        return f"it needs a 64-bit x86 processor, this is {platform.machine()}"
    try:
        arena = Arena(1)
        try:
            peers_arena(os.getpid(), arena.fd)
        finally:
            arena.close()
    except OSError as error:
        return f"it needs memory that can be opened in /proc ({error.strerror or error})"
    return None


_numbers = itertools.count(1)
_open: weakref.WeakValueDictionary[int, Arena] = weakref.WeakValueDictionary()  # of this process, by number


class Arena:
    """`nbytes` zeroed bytes of this process that peers may map. Its `number` is that of no other one in it, ever.

    OSError for more than the machine has; what it has, the system hands out as it is used, and may run out then.
    """

    def __init__(self, nbytes: int) -> None:
        self.number = next(_numbers)
        self.fd = os.memfd_create("syncbench", os.MFD_CLOEXEC)
        try:
            os.fchmod(self.fd, stat.S_IRUSR | stat.S_IWUSR)
            if nbytes > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):  # the system would find out too late
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            os.ftruncate(self.fd, max(1, nbytes))
            self.memory: Bytes = _mapped(self.fd)
        except BaseException:
            os.close(self.fd)
            raise
        self.start = address(self.memory)
        self.end = self.start + self.memory.size
        _open[self.number] = self

    def array(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """The arena's start as an array."""
        return np.ndarray(shape, dtype, self.memory)

    def again(self) -> Arena:
        """The same memory as an arena that is closed by itself. OSError if no more files can be opened."""
        other = copy.copy(self)
        other.number, other.fd = next(_numbers), os.dup(self.fd)
        _open[other.number] = other
        return other

    def close(self) -> None:
        """Let go of it. The memory lives, and costs an open file, for as long as an array anywhere refers to it."""
        if self.fd >= 0:
            del _open[self.number]
            os.close(self.fd)
            self.fd = -1


def own_arena(number: int) -> Arena:
    """This process's arena of that `number`. OSError if it is closed."""
    if (arena := _open.get(number)) is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return arena


def peers_arena(pid: int, fd: int) -> Bytes:
    """Map the arena that process `pid` has open as `fd`. OSError if the process, or its arena, is gone."""
    mine = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    try:
        return _mapped(mine)
    finally:
        os.close(mine)


def forget(memory: Bytes) -> None:
    """Drop the pages of a mapped arena from this process; they stay where they are, and come back when touched."""
    memory.base.obj.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr] # `_mapped` made it


def _mapped(fd: int) -> Bytes:
    return np.frombuffer(mmap.mmap(fd, 0), np.uint8)


def address(array: Array) -> int:
    """Where the first element of a C-contiguous array lies in this process's memory."""
    try:
        return addressof(
            c_char.from_buffer(array.data)
        )  # six times as fast as the other way, but needs a writable array
    except (TypeError, ValueError):
        return int(array.__array_interface__["data"][0])
