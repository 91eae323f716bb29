"""Ranks under mpirun: each tells the agent how it ends, and ends when mpirun is gone."""

import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from system.leftovers import ROOT

from experiments.launch import job_folder, mpirun
from experiments.launch.mpirun import LOST, VANISHED, MpiRank, MpiRun, exit_path


@pytest.fixture
def rank(tmp_path):
    """A rank under an mpirun whose exit code is `rank.mpirun`, and the fifo that the rank would write to."""
    os.mkfifo(exit_path(tmp_path, 0))
    fifo = os.open(exit_path(tmp_path, 0), os.O_RDONLY | os.O_NONBLOCK)
    world = SimpleNamespace(mpirun=None, path=exit_path(tmp_path, 0))
    launcher = SimpleNamespace(process=SimpleNamespace(poll=lambda: world.mpirun), stop=lambda: None)
    world.process = MpiRank(launcher, fifo)
    yield world
    world.mpirun = 0
    world.process.join(1)


@pytest.mark.parametrize("code", [0, 1, 3, LOST])
def test_a_rank_has_the_exit_code_that_it_tells(rank, code):
    with open(rank.path, "wb", buffering=0) as told:
        assert rank.process.exitcode is None
        told.write(str(code).encode())
        assert rank.process.exitcode == code
    assert rank.process.exitcode == code


def test_a_rank_that_ends_without_telling_has_vanished(rank):
    with open(rank.path, "wb"):
        assert rank.process.exitcode is None
    assert rank.process.exitcode == VANISHED


@pytest.mark.parametrize(("mpirun", "code"), [(None, None), (213, 213), (0, LOST), (-9, LOST)])
def test_a_rank_that_never_started_ends_with_mpirun(rank, mpirun, code):
    rank.mpirun = mpirun
    assert rank.process.exitcode == code


def test_nothing_is_left_of_a_rank_only_when_its_fifo_is_closed(rank):
    with open(rank.path, "wb", buffering=0) as told:
        told.write(b"1")
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


# --- the rank's side ---

ENTRY = """
import os, signal, sys

def main(home, rank):
    assert rank == 0
    {life}
"""
SLEEP = "os.write(2, b'here'); import time; time.sleep(600)"


@pytest.fixture
def start(tmp_path):
    """Start a rank with the given life: its process, and the agent's end of its fifo. `before`: words of a parent."""
    os.mkfifo(exit_path(tmp_path, 0))
    fifo = os.open(exit_path(tmp_path, 0), os.O_RDONLY | os.O_NONBLOCK)
    started = []

    def start(life, *before):
        (tmp_path / "entry.py").write_text(ENTRY.format(life=life))
        command = [*before, sys.executable, "-m", "experiments.launch.mpirun", "entry", str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "OMPI_COMM_WORLD_RANK": "0"}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
        return SimpleNamespace(process=started[0], fifo=fifo)

    yield start
    for process in started:
        process.kill()
        process.communicate()
    os.close(fifo)


def told(rank):
    """The exit code that the rank tells; empty if it vanishes. Blocks."""
    assert select.select([rank.fifo], [], [], 30)[0]
    return os.read(rank.fifo, 16).decode()


def test_a_rank_that_ends_well_tells_it_and_ends(start):
    rank = start("sys.exit(0)")
    assert told(rank) == "0"
    assert rank.process.wait(30) == 0


@pytest.mark.parametrize(("life", "code"), [("sys.exit(3)", "3"), ("sys.exit('a word')", "1"), ("1 / 0", "1")])
def test_a_rank_that_ends_badly_tells_it_and_stays_until_mpirun_ends_it(start, life, code):
    rank = start(life)
    assert told(rank) == code
    assert rank.process.poll() is None
    rank.process.send_signal(signal.SIGTERM)
    assert rank.process.wait(30) == -signal.SIGTERM


def test_a_rank_that_ends_badly_does_not_outlive_the_agent(start):
    rank = start("1 / 0")
    assert told(rank) == "1"
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, rank.fifo)  # closes the agent's end of the fifo
    os.close(null)
    assert rank.process.wait(30) == 1


@pytest.mark.parametrize("life", ["os.kill(os.getpid(), 9)", "os._exit(7)"])
def test_a_rank_that_is_killed_tells_nothing(start, life):
    assert told(start("os.write(2, b'here'); " + life)) == ""


def test_a_rank_goes_on_when_mpirun_ends_the_others(start):
    rank = start("os.kill(os.getpid(), signal.SIGTERM)")
    assert told(rank) == "0"
    assert rank.process.wait(30) == 0


def test_a_rank_whose_mpirun_is_gone_says_so_and_ends(start):
    parent = start(SLEEP, "sh", "-c", '"$@" & wait', "sh")
    assert parent.process.stderr.read(4) == b"here"
    parent.process.kill()
    assert told(parent) == str(LOST)
    assert parent.process.stderr.read() == b""  # the rank has ended
