"""Ranks under mpirun: what the agent learns of their end, and the guardian that tells it."""

import os
import select
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from system.leftovers import ROOT

from experiments.launch import processes, rank_process
from experiments.launch.processes import LOST, MpiRank, exit_path

ENTRY = """
import os, sys

def main(home, rank):
    assert rank == 0
    {life}
"""


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
        named = Path((home / processes.SHARED_NOTE).read_text())
        seen.append((named, stat.S_IMODE(named.stat().st_mode), str(named) in command))
        raise OSError("no mpirun here")

    memory.mkdir()
    home.mkdir()
    monkeypatch.setattr(processes, "SHARED_MEMORY", memory)
    monkeypatch.setattr(processes.subprocess, "Popen", start)
    with pytest.raises(OSError, match="no mpirun"):
        processes._MpiRun("entry", home, 2)
    ((named, mode, given),) = seen
    assert named.parent == memory
    assert (mode, given) == (0o700, True)
    assert list(memory.iterdir()) == []


def test_with_its_agent_a_rank_removes_the_shared_memory(tmp_path, monkeypatch):
    """The lock is free: the agent is gone."""
    memory, home = tmp_path / "shm", tmp_path / "syncbench-1" / "job-1"
    (memory / "syncbench-mpi-1").mkdir(parents=True)
    home.mkdir(parents=True)
    (home / processes.SHARED_NOTE).write_text(str(memory / "syncbench-mpi-1"))
    (home.parent / "agent.lock").touch()
    monkeypatch.setattr(processes, "SHARED_MEMORY", memory)
    ended = threading.Event()
    monkeypatch.setattr(rank_process.os, "_exit", lambda code: ended.set())
    rank_process.die_with_the_agent(home)
    assert ended.wait(30)
    assert list(memory.iterdir()) == []
    assert not home.parent.exists()


@pytest.fixture
def guardian(tmp_path):
    """Start a guardian whose rank lives the life given; the sentinel of its fifo, and its process."""
    os.mkfifo(exit_path(tmp_path, 0))
    ear = os.open(exit_path(tmp_path, 0), os.O_RDONLY | os.O_NONBLOCK)
    shared = tmp_path / "shared"
    shared.mkdir()
    started = []

    def start(life, *before):
        (tmp_path / "entry.py").write_text(ENTRY.format(life=life))
        command = [
            *before,
            sys.executable,
            "-m",
            "experiments.launch.mpirun_guard",
            "entry",
            str(tmp_path),
            str(shared),
        ]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "OMPI_COMM_WORLD_RANK": "0"}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
        return SimpleNamespace(process=started[0], ear=ear, shared=shared)

    yield start
    for process in started:
        process.kill()
        process.communicate()
    os.close(ear)


def hear(guardian):
    """What the guardian tells. Blocks."""
    assert select.select([guardian.ear], [], [], 30)[0]
    return int(os.read(guardian.ear, 16))


def test_the_guardian_of_a_rank_that_ends_well_goes_with_it(guardian):
    one = guardian("sys.exit(0)")
    assert hear(one) == 0
    assert one.process.wait(30) == 0
    assert not one.shared.exists()


@pytest.mark.parametrize(
    ("life", "code"),
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os._exit(7)", 7), ("sys.exit('a word')", 1), ("1 / 0", 1)],
)
def test_the_guardian_of_a_rank_that_ends_badly_stays_until_it_is_dismissed(guardian, life, code):
    one = guardian(life)
    assert hear(one) == code
    assert one.process.poll() is None
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) == 1
    assert not one.shared.exists()


def test_a_guardian_that_is_asked_to_end_ends_its_rank(guardian):
    one = guardian("os.write(2, b'here'); import time; time.sleep(600)")
    assert one.process.stderr.read(4) == b"here"
    one.process.send_signal(signal.SIGTERM)
    assert hear(one) == LOST
    assert one.process.wait(30) == 1


def test_a_rank_whose_guardian_is_killed_ends(guardian):
    one = guardian("os.write(2, b'here'); import time; time.sleep(600)")
    assert one.process.stderr.read(4) == b"here"
    one.process.kill()
    assert one.process.stderr.read() == b""  # the rank's end is closed too
