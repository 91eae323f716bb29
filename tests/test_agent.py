"""What agents leave behind is swept up, and what belongs to others is not."""

import fcntl
import os
import tempfile

import pytest

from common.errors import ConfigError
from experiments.launch import processes
from experiments.launch.agent import Agent
from experiments.launch.job_folder import LOCK, sweep


@pytest.fixture
def tmpdir(tmp_path, monkeypatch):
    """A private folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind(parent, name="syncbench-stale"):
    """What the folder of a killed agent looks like."""
    folder = parent / name
    (folder / "job-1234").mkdir(parents=True)
    (folder / "job-1234" / "board").write_bytes(b"board")
    (folder / LOCK).touch()
    return folder


def test_the_folder_of_a_killed_agent_is_removed(tmpdir):
    left_behind(tmpdir)
    left_behind(tmpdir, "syncbench-another")
    sweep()
    assert list(tmpdir.iterdir()) == []


def test_the_folder_of_a_living_agent_stays(tmpdir):
    folder = left_behind(tmpdir)
    with open(folder / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
        assert (folder / "job-1234" / "board").exists()
    sweep()
    assert not folder.exists()


def test_the_shared_memory_of_a_killed_agent_is_removed_and_nobody_elses(tmpdir, monkeypatch):
    memory = tmpdir / "shm"
    monkeypatch.setattr(processes, "SHARED_MEMORY", memory)
    names = ("syncbench-mpi-stale", "syncbench-mpi-alive", "syncbench-mpi-unnamed", "another-program")
    for name in names:
        (memory / name).mkdir(parents=True)
        (memory / name / "segment").touch()
    for agent_, name in (("stale", names[0]), ("alive", names[1]), ("foreign", names[3])):
        (left_behind(tmpdir, f"syncbench-{agent_}") / "job-1234" / processes.SHARED_NOTE).write_text(str(memory / name))
    with open(tmpdir / "syncbench-alive" / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
    assert {path.name for path in tmpdir.iterdir()} == {"syncbench-alive", "shm"}
    assert {path.name for path in memory.iterdir()} == set(names[1:])


def test_what_may_be_somebody_elses_stays(tmpdir, monkeypatch):
    (tmpdir / "syncbench-no-lock").mkdir()
    (tmpdir / "syncbench-a-file").touch()
    left_behind(tmpdir, "another-program")
    sweep()
    assert len(list(tmpdir.iterdir())) == 3

    foreign = left_behind(tmpdir)
    monkeypatch.setattr(os, "getuid", lambda: foreign.stat().st_uid + 1)
    sweep()
    assert foreign.exists()


def test_a_path_too_long_for_sockets_is_refused_before_anything_starts(tmpdir, monkeypatch):
    folder = tmpdir / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(ConfigError, match="set TMPDIR to a short one"), Agent():
        pass
    assert list(folder.iterdir()) == []


def test_a_folder_for_temporary_files_that_cannot_be_used_is_refused(tmpdir, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmpdir / "not there"))
    with (
        pytest.raises(ConfigError, match=r"temporary files cannot be set up: .*; set TMPDIR to another folder"),
        Agent(),
    ):
        pass
