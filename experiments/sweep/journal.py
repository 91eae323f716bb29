"""What a sweep has done: `cells.jsonl` has a line for each finished cell, and carries the lock of the sweep.

A line is on the disk before the next cell starts. The cell at which a sweep was killed has no line, and its run folder
is set aside.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import ConfigError
from experiments.schema.files import iter_lines, to_line
from experiments.schema.records import JournalEntry

NAME, ASIDE = "cells.jsonl", "aside"
_RUN_FOLDER = re.compile(r"\d{8}T\d{6}Z-.+-w\d+-[0-9a-f]{6}")


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
        moved = []
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and folder.name not in known and _RUN_FOLDER.fullmatch(folder.name):
                (self.folder / ASIDE).mkdir(exist_ok=True)
                moved.append(folder.rename(self.folder / ASIDE / folder.name))
        return moved


def finished(folder: Path) -> Iterator[JournalEntry]:
    """Yield the finished cells of the sweep in `folder`, in order; none if there is no sweep.

    A last line that was cut short does not count. Raises ConfigError for a damaged line.
    """
    if (folder / NAME).is_file():
        yield from iter_lines(folder / NAME, JournalEntry)
