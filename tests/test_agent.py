"""An agent that cannot start is refused in one line, and leaves nothing behind."""

import tempfile

import pytest

from common.errors import ConfigError
from experiments.launch.agent import Agent


@pytest.fixture
def tmpdir(tmp_path, monkeypatch):
    """A private folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_path_too_long_for_sockets_is_refused_before_anything_starts(tmpdir, monkeypatch):
    folder = tmpdir / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(ConfigError, match="set TMPDIR to a short path"), Agent():
        pass
    assert list(folder.iterdir()) == []


def test_a_folder_for_temporary_files_that_cannot_be_used_is_refused(tmpdir, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmpdir / "not there"))
    with (
        pytest.raises(ConfigError, match=r"temporary files cannot be set up: .*; set TMPDIR to another folder"),
        Agent(),
    ):
        pass
