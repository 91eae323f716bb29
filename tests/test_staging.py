"""The staging ring: no copy is overwritten before it is read, and memory does not grow without need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.transport.shm.arena import Arena
from common.transport.shm.staging import FIRST_BYTES, StagingRing


class Allocator:
    """Allocates arenas and remembers them."""

    def __init__(self):
        self.made = []

    def __call__(self, nbytes):
        self.made.append(Arena(nbytes))
        return self.made[-1]


def data(seq, size):
    return np.full(size, seq % 251, np.uint8)


@given(st.lists(st.tuples(st.integers(1, 3 * FIRST_BYTES // 2), st.integers(0, 4)), max_size=40))
def test_unread_copies_are_never_overwritten(script):
    """The script has copies, each followed by the reading of some."""
    staging = StagingRing(Allocator())
    unread = []
    for seq, (size, reads) in enumerate(script):
        arena, start = staging.put(data(seq, size), seq, seq - len(unread))
        unread.append((seq, size, arena.memory, start))
        for _ in range(min(reads, len(unread))):
            number, length, memory, offset = unread.pop(0)
            assert (memory[offset : offset + length] == number % 251).all()
    for number, length, memory, offset in unread:
        assert (memory[offset : offset + length] == number % 251).all()
    staging.close()


def test_one_arena_is_enough_for_a_reader_that_keeps_up():
    allocate = Allocator()
    staging = StagingRing(allocate)
    for seq in range(1000):
        staging.put(data(seq, FIRST_BYTES // 4), seq, max(0, seq - 1))
    staging.close()
    assert len(allocate.made) == 1


def test_outgrown_arenas_are_closed_once_they_are_read():
    allocate = Allocator()
    staging = StagingRing(allocate)
    for seq in range(4):
        staging.put(data(seq, FIRST_BYTES), seq, 0)
    staging.put(data(4, 1), 4, 4)
    sizes = [arena.memory.size for arena in allocate.made]
    assert sizes == sorted(sizes)
    assert sizes[-1] > FIRST_BYTES
    assert [arena.fd for arena in allocate.made[:-1]] == [-1] * (len(sizes) - 1)
    staging.close()


def test_a_failed_allocation_is_an_error():
    with pytest.raises(OSError, match="Cannot allocate memory"):
        StagingRing(Allocator()).put(np.broadcast_to(np.uint8(1), 1 << 60), 0, 0)


def test_a_failed_allocation_of_a_larger_arena_leaves_the_old_one_in_use():
    allocate = Allocator()
    staging = StagingRing(allocate)
    arena, start = staging.put(data(0, 100), 0, 0)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        staging.put(np.broadcast_to(np.uint8(1), 1 << 60), 1, 0)
    assert staging.put(data(1, 100), 1, 0)[0] is arena
    assert arena.fd >= 0
    assert (arena.memory[start : start + 100] == 0).all()
    staging.close()
