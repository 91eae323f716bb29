"""A private folder exists as long as its owner, and not much longer."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile

import pytest

from common.errors import ConfigError
from experiments.launch import job_folder
from experiments.launch.job_folder import LOCK, claim, private_folder, sweep

KILLED = """
import os, signal
from experiments.launch.job_folder import private_folder
with private_folder() as folder:
    (folder / "drawing").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def tmpdir(tmp_path, monkeypatch):
    """A private folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_private_folder_survives_a_sweep_while_it_is_owned_and_goes_with_its_owner(tmpdir):
    with private_folder() as folder:
        sweep()
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmpdir.iterdir()) == []


def test_the_next_private_folder_removes_that_of_a_killed_process(tmpdir):
    done = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmpdir)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmpdir.iterdir())) == 1
    with private_folder() as folder:
        assert list(tmpdir.iterdir()) == [folder]


def test_no_room_for_temporary_files_is_one_line(tmpdir, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmpdir / "nowhere"))
    with pytest.raises(ConfigError, match=r"cannot be set up: No such file or directory; set TMPDIR"), private_folder():
        pass


# --- folders of killed agents ---


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


def test_only_the_shared_memory_of_a_killed_agent_is_removed(tmpdir, monkeypatch):
    memory = tmpdir / "shm"
    monkeypatch.setattr(job_folder, "SHARED_MEMORY", memory)
    names = ("syncbench-mpi-stale", "syncbench-mpi-alive", "syncbench-mpi-unnamed", "another-program")
    for name in names:
        (memory / name).mkdir(parents=True)
        (memory / name / "segment").touch()
    for agent_, name in (("stale", names[0]), ("alive", names[1]), ("foreign", names[3])):
        (left_behind(tmpdir, f"syncbench-{agent_}") / "job-1234" / job_folder.SHARED_NOTE).write_text(
            str(memory / name)
        )
    with open(tmpdir / "syncbench-alive" / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
    assert {path.name for path in tmpdir.iterdir()} == {"syncbench-alive", "shm"}
    assert {path.name for path in memory.iterdir()} == set(names[1:])


def test_folders_that_may_belong_to_others_stay(tmpdir, monkeypatch):
    (tmpdir / "syncbench-no-lock").mkdir()
    (tmpdir / "syncbench-a-file").touch()
    left_behind(tmpdir, "another-program")
    sweep()
    assert len(list(tmpdir.iterdir())) == 3

    foreign = left_behind(tmpdir)
    monkeypatch.setattr(os, "getuid", lambda: foreign.stat().st_uid + 1)
    sweep()
    assert foreign.exists()


def test_a_lock_that_cannot_be_had_is_closed(tmpdir, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No locks"):
        claim(tmpdir)
    assert len(os.listdir("/proc/self/fd")) == before
