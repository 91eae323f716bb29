"""The environment of a result is recorded; an unknown value is None, never an error."""

import json
import os
import platform
import subprocess
from importlib import metadata

import pytest

from experiments.machine import environment as module
from experiments.machine.environment import PACKAGES, environment
from experiments.schema.files import to_builtins


def test_the_environment_is_json_and_has_the_cores_that_this_process_may_use():
    found = environment(threads=3)
    assert json.loads(json.dumps(to_builtins(found), allow_nan=False))["cores"] == found.cores
    assert found.schema == 1
    assert found.python == platform.python_version()
    assert found.threads_per_rank == 3
    assert 1 <= found.cores <= os.cpu_count()
    assert found.cpu


def test_versions_are_those_that_are_installed():
    versions = environment().versions
    assert set(versions) == set(PACKAGES)
    assert versions["torch"] == metadata.version("torch")


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("not-installed-at-all",))
    assert environment().versions == {"not-installed-at-all": None}


@pytest.mark.parametrize(("changed", "mark"), [("", ""), (" M common/board.py", "+")])
def test_the_commit_carries_a_mark_if_files_were_changed(monkeypatch, changed, mark):
    answers = {"rev-parse": "0123456789ab", "status": changed}
    monkeypatch.setattr(module, "_git", lambda folder, verb, *words: answers[verb])
    assert environment().commit == "0123456789ab" + mark


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError("no git"), subprocess.CalledProcessError(128, "git"), subprocess.TimeoutExpired("git", 5)],
    ids=["no git", "no checkout", "slow"],
)
def test_without_git_or_a_checkout_the_commit_is_unknown(monkeypatch, error):
    def fail(folder, *words):
        raise error

    monkeypatch.setattr(module, "_git", fail)
    assert environment().commit is None
