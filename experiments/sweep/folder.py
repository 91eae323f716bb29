"""A sweep's folder: `sweep.yaml` (everything filled in), `env.json`, `cells.jsonl`, and a folder for each run.

The journal `cells.jsonl` has a line for each finished cell, and carries the lock of the sweep. A line is on the disk
before the next cell starts. The cell at which a sweep was killed has no line, and its run folder is set aside.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from experiments.machine.environment import environment
from experiments.runs.files import new_folder, writing
from experiments.schema.documents import Environment
from experiments.schema.files import iter_lines, read_document, to_builtins, to_line, write_document
from experiments.schema.records import JournalEntry
from experiments.sweep.grid import Grid
from experiments.sweep.parse import load, read
from experiments.sweep.spec import Sweep

SPEC, ENV = "sweep.yaml", "env.json"
NAME = "cells.jsonl"
_RUN_FOLDER = re.compile(r"\d{8}T\d{6}Z-.+-w\d+-[0-9a-f]{6}")


def begin(results: Path, sweep: Sweep) -> Path:
    """Make a new folder under `results` for this sweep. Raises ConfigError if it cannot be written."""
    with writing(results):
        folder = new_folder(results, f"sweep-{sweep.name}")
        part = folder / f"{SPEC}.part"
        part.write_text(sweep.to_yaml(), encoding="utf-8")
        part.rename(folder / SPEC)
        write_document(folder / ENV, _environment(sweep))
    return folder


def reopen(folder: Path) -> Sweep:
    """Return the sweep that was begun in `folder`. Raises ConfigError if there is none."""
    if not folder.is_dir():
        raise ConfigError(f"--resume {folder}: there is no such folder")
    if not (folder / SPEC).is_file():
        raise ConfigError(f"--resume {folder}: this is no sweep's folder, it has no {SPEC}")
    return read(load(folder / SPEC), {}, where=f"{folder / SPEC}: ")


def changes(folder: Path, sweep: Sweep) -> str:
    """Return what has changed in the machine or the versions since the sweep began; empty if nothing has."""
    try:
        before = _flat(read_document(folder / ENV, Environment))
    except ConfigError:  # damaged, or killed before it was written
        write_document(folder / ENV, _environment(sweep))
        return ""
    now = _flat(_environment(sweep))
    return ", ".join(f"{key} was {before.get(key)}, is {now[key]}" for key in now if before.get(key) != now[key])


def check_cells(done: Iterable[tuple[str, int]], grid: Grid, folder: Path) -> None:
    """Raise ConfigError if cells were done that this sweep does not have."""
    known = {cell.id for cell in grid.cells}
    if strangers := sorted({cell for cell, _ in done} - known):
        raise ConfigError(f"{folder / SPEC} has no cell {strangers[0]}, which was run: it is not as it was")


def _environment(sweep: Sweep) -> Environment:
    return environment(sweep.settings["threads"][0], tuple(sweep.settings["transport"]))


def _flat(env: Environment) -> dict[str, Any]:
    known = to_builtins(env)
    versions: dict[str, Any] = known.pop("versions")
    return versions | known


class Journal:
    """A context manager that holds the sweep's lock. `entries` are those of all finished cells, by (cell, repeat)."""

    def __init__(self, folder: Path) -> None:
        """Lock the sweep and read its journal. ConfigError if another process holds the lock, or a line is damaged."""
        self.folder = folder
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.entries = {(entry.cell, entry.repeat): entry for entry in finished(folder)}
            whole = (folder / NAME).read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._file, whole)  # a line that was cut short does not count
        except BaseException as error:
            os.close(self._file)
            if isinstance(error, BlockingIOError):
                raise ConfigError(f"another process is at this sweep: {folder}") from None
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    def add(self, entry: JournalEntry) -> None:
        """Note a finished cell. The line is on the disk when this returns. After an OSError nothing is noted."""
        text = to_line(entry)
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, size)  # a part of the line would spoil the next one
            raise
        self.entries[entry.cell, entry.repeat] = entry

    def set_aside(self) -> list[Path]:
        """Move the run folders of cells that were not finished, which no line names, into `aside/`; return them."""
        known = {entry.folder for entry in self.entries.values()}
        found = [each for each in sorted(self.folder.iterdir()) if each.is_dir() and _RUN_FOLDER.fullmatch(each.name)]
        if unfinished := [each for each in found if each.name not in known]:
            (self.folder / "aside").mkdir(exist_ok=True)
        return [each.rename(self.folder / "aside" / each.name) for each in unfinished]


def finished(folder: Path) -> Iterator[JournalEntry]:
    """Yield the finished cells of the sweep in `folder`, in order. ConfigError for a damaged line."""
    if (folder / NAME).is_file():
        yield from iter_lines(folder / NAME, JournalEntry)
