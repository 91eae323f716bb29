"""A test that needs what is not installed is skipped, and fails where that was demanded."""

import importlib.util

import extras
import pytest

NAMES = ["mpi", "tensorboard", "browser"]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine on which nothing is installed, and nothing is demanded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv(extras.DEMANDED, raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_skips_the_test_and_is_named(bare, name):
    with pytest.raises(pytest.skip.Exception, match=r"^needs .* \("):
        extras.require(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_fails_the_test_where_it_is_demanded(bare, monkeypatch, name):
    monkeypatch.setenv(extras.DEMANDED, f"another {name}")
    with pytest.raises(pytest.fail.Exception, match="demands it"):
        extras.require(name)


def test_open_mpi_without_mpi4py_is_not_enough(bare, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert "mpi4py" in extras.missing("mpi")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert extras.missing("mpi") is None
