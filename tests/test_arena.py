"""Arenas: memory that several ranks map, private to the user and gone with its last user."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from transports import endpoint, private_folder

from common.errors import ConfigError
from common.transport.base import address
from common.transport.shm.arena import Arena, forget, peers_arena, reason_against


def test_an_arena_is_private_and_has_no_name():
    arena = Arena(100)
    link = os.readlink(f"/proc/self/fd/{arena.fd}")
    assert os.stat(arena.fd).st_mode & 0o777 == 0o600
    assert link.startswith("/memfd:")
    assert link.endswith("(deleted)")
    arena.close()


def test_a_peer_sees_the_owners_writes_even_after_the_owner_closed_the_arena():
    arena = Arena(100)
    seen = peers_arena(os.getpid(), arena.fd)
    arena.close()
    arena.array(25, np.float32)[:] = 7
    assert (seen.view(np.float32)[:25] == 7).all()


def test_forgotten_pages_leave_the_memory_count_and_keep_their_content():
    def shared_bytes():
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssShmem"))
        return int(line.split()[1]) << 10

    size = 16 << 20
    arena = Arena(size)
    arena.memory[:] = 7
    seen = peers_arena(os.getpid(), arena.fd)
    assert (seen == 7).all()
    before = shared_bytes()
    forget(seen)
    assert before - shared_bytes() >= size // 2
    assert seen[size - 1] == 7
    arena.close()


def test_opening_an_arena_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError):
        peers_arena(os.getpid(), 10_000)


@pytest.mark.parametrize("writable", [True, False])
def test_the_address_of_an_array_is_that_of_its_first_element(writable):
    array = np.arange(100)[10:20]
    array.flags.writeable = writable
    assert address(array) == array.ctypes.data


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sys", SimpleNamespace(platform="darwin"), "Linux"),
        ("platform.machine", lambda: "aarch64", "x86"),
        ("peers_arena", lambda pid, fd: os.open("/nowhere", os.O_RDONLY), "/proc"),
    ],
)
def test_a_machine_that_cannot_share_memory_is_refused_with_the_reason(monkeypatch, name, value, why):
    monkeypatch.setattr(f"common.transport.shm.arena.{name}", value)
    assert why in reason_against()
    with private_folder() as folder, pytest.raises(ConfigError, match=f"{why}.*use ipc"):
        endpoint("shm", folder, 0, 1)
