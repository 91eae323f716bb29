"""A private folder is there for as long as its owner, and not for much longer."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from common.errors import ConfigError
from experiments.launch.job_folder import private_folder, sweep

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


def test_a_private_folder_outlives_nobody_but_those_who_look_for_abandoned_ones(tmpdir):
    with private_folder() as folder:
        sweep()
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmpdir.iterdir()) == []


def test_the_next_one_removes_that_of_a_killed_process(tmpdir):
    done = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmpdir)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmpdir.iterdir())) == 1
    with private_folder() as folder:
        assert list(tmpdir.iterdir()) == [folder]


def test_no_room_for_temporary_files_is_one_line(tmpdir, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmpdir / "nowhere"))
    with pytest.raises(ConfigError, match=r"cannot be set up: No such file or directory; set TMPDIR"), private_folder():
        pass
