"""What a sweep has done: `cells.jsonl`, a line a finished cell, and the lock that keeps a second process out.

A line is written whole and to the disk before the next cell starts. What a killed sweep was at has no line: its run
folder is set aside.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from common.errors import ConfigError
from common.records.recorder import whole_lines

NAME, ASIDE = "cells.jsonl", "aside"
_KINDS: dict[str, Any] = {"cell": str, "repeat": int, "folder": str | None, "error": str | None, "seconds": int | float}
_RUN_FOLDER = re.compile(r"\d{8}T\d{6}Z-.+-w\d+-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Line:
    """A finished cell: the `repeat`-th run of it (from 1), `ok` or `failed`, its run folder's name, seconds it took."""

    cell: str
    repeat: int
    status: str
    folder: str | None
    error: str | None
    seconds: float


class Journal:
    """A context manager that holds the sweep's lock. `lines` are those of all finished cells, by (cell, repeat)."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError if another process is at this sweep, or if the file is damaged."""
        self.folder = folder
        self.lines: dict[tuple[str, int], Line] = {}
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"another process is at this sweep: {folder}") from None
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def add(self, line: Line) -> None:
        """Note a finished cell; it is on the disk when this returns. Raises OSError, and then nothing is noted."""
        text = json.dumps(asdict(line)).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, size)  # whole or not at all, or the next line would hang on to a part of it
            raise
        self.lines[line.cell, line.repeat] = line

    def set_aside(self) -> list[Path]:
        """Move run folders that no line names (of cells that were not finished) into `aside/`; returns where to."""
        known = {line.folder for line in self.lines.values()}
        moved = []
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and folder.name not in known and _RUN_FOLDER.fullmatch(folder.name):
                (self.folder / ASIDE).mkdir(exist_ok=True)
                moved.append(folder.rename(self.folder / ASIDE / folder.name))
        return moved

    def _read(self) -> None:
        self.lines = {(line.cell, line.repeat): line for line in finished(self.folder)}
        os.ftruncate(self._file, sum(map(len, whole_lines(self.folder / NAME))))  # a torn line's cell is not done


def finished(folder: Path) -> Iterator[Line]:
    """The finished cells of the sweep in `folder`, in order; none where there is no sweep.

    A last line that was cut short is none. ConfigError if one is damaged.
    """
    file = folder / NAME
    for number, text in enumerate(whole_lines(file) if file.is_file() else [], 1):
        line = _line(text)
        if line is None:
            raise ConfigError(f"{file}, line {number} is damaged: {text[:80]!r}")
        yield line


def _line(text: bytes) -> Line | None:
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(text)
        if isinstance(found, Mapping) and found["status"] in ("ok", "failed"):
            line = Line(**{name: found[name] for name in Line.__dataclass_fields__})
            if all(isinstance(getattr(line, name), kind) for name, kind in _KINDS.items()):
                return line
    return None
