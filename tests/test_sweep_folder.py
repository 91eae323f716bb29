"""The journal of a sweep: its lines are whole, its lock keeps other processes out."""

import fcntl
import json
import os

import pytest
from sweeps import entry

from common.errors import ConfigError
from experiments.schema.records import JournalEntry
from experiments.sweep.folder import NAME, Journal

WHOLE = {"cell": "x", "repeat": 1, "status": "ok", "folder": None, "error": None, "seconds": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        '{"cell": "x"}',
        "rubbish",
        *(json.dumps({**WHOLE, key: value}) for key, value in [("cell", ["x"]), ("repeat", "1"), ("seconds", None)]),
    ],
)
def test_a_damaged_line_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(f"{text}\n")
    with pytest.raises(ConfigError, match=r"line 1 is (damaged|not valid JSON)"):
        Journal(tmp_path)
    with open(tmp_path / NAME) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the refused process holds no lock


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_of_it(tmp_path, monkeypatch):
    write = os.write
    with Journal(tmp_path) as journal:
        journal.add(JournalEntry(**WHOLE))
        monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:9]))
        with pytest.raises(OSError, match="No space left"):
            journal.add(JournalEntry(**{**WHOLE, "repeat": 2}))
        monkeypatch.setattr(os, "write", write)
        journal.add(JournalEntry(**{**WHOLE, "repeat": 3}))
    with Journal(tmp_path) as journal:
        assert [repeat for _, repeat in journal.entries] == [1, 3]


def test_two_processes_cannot_run_the_same_sweep(tmp_path):
    with Journal(tmp_path), pytest.raises(ConfigError, match="another process is at this sweep"):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass


def test_only_run_folders_are_set_aside(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "plots").mkdir()
    with Journal(tmp_path) as journal:
        journal.add(entry("ring-w2-abc", 1, "20260102T030405Z-ring-w2-abcdef"))
        (tmp_path / "20260102T030405Z-ring-w2-abcdef").mkdir()
        (tmp_path / "20260102T030406Z-ring-w2-abcdef").mkdir()
        (moved,) = journal.set_aside()
    assert moved.name == "20260102T030406Z-ring-w2-abcdef"
    assert sorted(os.listdir(tmp_path)) == ["20260102T030405Z-ring-w2-abcdef", "aside", NAME, "notes", "plots"]
