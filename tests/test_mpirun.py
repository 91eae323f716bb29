"""Ranks under mpirun: the agent learns how each of them ends."""

import os
import signal
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.launch import job_folder, mpirun
from experiments.launch.mpirun import MpiRank, MpiRun, exit_path
from experiments.launch.processes import LOST


@pytest.fixture
def rank(tmp_path):
    """A rank under an mpirun whose exit code is `rank.mpirun`, and the fifo that its guardian would write to."""
    os.mkfifo(exit_path(tmp_path, 0))
    ear = os.open(exit_path(tmp_path, 0), os.O_RDONLY | os.O_NONBLOCK)
    world = SimpleNamespace(mpirun=None, path=exit_path(tmp_path, 0))
    launcher = SimpleNamespace(process=SimpleNamespace(poll=lambda: world.mpirun), stop=lambda: None)
    world.process = MpiRank(launcher, ear)
    yield world
    world.mpirun = 0
    world.process.join(1)


@pytest.mark.parametrize("code", [0, 1, -9, -15, LOST])
def test_a_rank_has_the_exit_code_that_its_guardian_tells(rank, code):
    with open(rank.path, "wb", buffering=0) as mouth:
        assert rank.process.exitcode is None
        mouth.write(str(code).encode())
        assert rank.process.exitcode == code
    assert rank.process.exitcode == code


def test_a_guardian_that_ends_without_a_word_was_killed_with_its_rank(rank):
    with open(rank.path, "wb"):
        assert rank.process.exitcode is None
    assert rank.process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("mpirun", "code"), [(None, None), (213, 213), (0, LOST), (-9, LOST)])
def test_a_rank_that_never_started_ends_with_mpirun(rank, mpirun, code):
    rank.mpirun = mpirun
    assert rank.process.exitcode == code


def test_nothing_is_left_of_a_rank_only_when_its_guardian_is_gone(rank):
    with open(rank.path, "wb", buffering=0) as mouth:
        mouth.write(b"1")
        rank.process.join(0)
        assert rank.process.sentinel >= 0
    rank.process.join(0)
    assert rank.process.sentinel == -1


def test_the_shared_memory_of_a_job_is_named_in_its_folder_before_mpirun_starts(tmp_path, monkeypatch):
    memory, home, seen = tmp_path / "shm", tmp_path / "job-1", []

    def start(command, **options):
        named = Path((home / job_folder.SHARED_NOTE).read_text())
        seen.append((named, stat.S_IMODE(named.stat().st_mode), str(named) in command))
        raise OSError("no mpirun here")

    memory.mkdir()
    home.mkdir()
    monkeypatch.setattr(job_folder, "SHARED_MEMORY", memory)
    monkeypatch.setattr(mpirun.subprocess, "Popen", start)
    with pytest.raises(OSError, match="no mpirun"):
        MpiRun("entry", home, 2)
    ((named, mode, given),) = seen
    assert named.parent == memory
    assert (mode, given) == (0o700, True)
    assert list(memory.iterdir()) == []
