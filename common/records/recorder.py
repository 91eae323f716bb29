"""Step records, written as they happen: one JSON object a line, readable whatever happens to the writer next."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.records.stage_clock import STAGES

_SECONDS = ",".join(f'"{stage}":%.7f' for stage in STAGES)
_LINE = (
    '{"step":%d,"%s":%d,"loss":%s,"samples":[%s],"began":%.7f,"ended":%.7f,"seconds":{'
    + _SECONDS
    + '},"hidden_seconds":%.7f%s}\n'
)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a worker, or one update of a server.

    `samples` are the ledger's digests, one for each worker that this process stands for; a server has neither those
    nor a loss. A worker that was too late for a step has `skipped` it: it drew the samples and did not train, so it has
    no loss either. `began` and `ended` are seconds on the rank's clock, `seconds` those spent in each of the six
    stages; `hidden_seconds` are those of synchronisation that ran beside `train` and so are part of `train` there.
    """

    step: int
    role: str
    rank: int
    began: float
    ended: float
    seconds: Mapping[str, float]
    loss: float | None = None
    samples: Sequence[str] = ()
    hidden_seconds: float = 0.0
    skipped: bool = False

    def line(self, epoch: float = 0.0) -> str:
        """The record as a line of JSON, its times since `epoch`, to 0.1 µs.

        Written out by hand: it is in the path of every step, and json.dumps takes three times as long.
        """
        loss = "null" if self.loss is None else repr(self.loss)
        samples = ",".join(f'"{digest}"' for digest in self.samples)
        times = (
            self.began - epoch,
            self.ended - epoch,
            *(self.seconds[stage] for stage in STAGES),
            self.hidden_seconds,
            ',"skipped":true' if self.skipped else "",
        )
        return _LINE % (self.step, self.role, self.rank, loss, samples, *times)


class EventLog:
    """A rank's history: events that a strategy notes, one JSON object a line, each with the time `at` of its writing.

    The file is made with the first of them. If it is there already, FileExistsError then, unless `going_on`: what a
    rank writes that has come back follows what it wrote before. Times count from `epoch`, on the clock `now`.
    """

    def __init__(self, path: Path, now: Callable[[], float], epoch: float = 0.0, *, going_on: bool = False) -> None:
        self.path, self._now, self._epoch = path, now, epoch
        self._fd = _file_again(path) if going_on and path.exists() else None

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event, in one call. OSError if it could not be written whole; TypeError if it is no JSON."""
        if self._fd is None:
            self._fd = _new_file(self.path)
        _write_line(self._fd, self.path, json.dumps({"at": round(self._now() - self._epoch, 7), **event}) + "\n")

    @property
    def size(self) -> int:
        """Bytes written so far, for `cut`."""
        return 0 if self._fd is None else os.fstat(self._fd).st_size

    def cut(self, size: int) -> None:
        """Remove all that was written after the file had `size` bytes. OSError."""
        if self._fd is not None:
            os.ftruncate(self._fd, size)

    def rewind(self, step: int) -> None:
        """Remove the first event of `step` or a later one, and all that follow. OSError."""
        if self._fd is not None:
            _cut(self._fd, self.path, step)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._fd is not None:
            os.close(self._fd)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)


def _file_again(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND)


def _cut(fd: int, path: Path, step: int) -> None:
    """Cut the file before the first row of `step` or a later one, or before a row that is not whole."""
    end = 0
    with open(path, "rb") as rows:
        for row in rows:
            if not row.endswith(b"\n") or json.loads(row).get("step", -1) >= step:
                break
            end += len(row)
    os.ftruncate(fd, end)


def _write_line(fd: int, path: Path, line: str) -> None:
    data = line.encode()
    if os.write(fd, data) != len(data):
        raise OSError(f"{path}: no room for a whole row; is the disk full?")


class Recorder:
    """Appends records to a new file; refuses to touch an existing one (FileExistsError), unless `going_on`: then the
    file, if there is one, is that of the same rank before it came back.

    Each record reaches the operating system before `write` returns, in one call, so a killed process leaves whole
    lines. `epoch` is the moment, on the ranks' clock, from which the file counts seconds.
    """

    def __init__(self, path: Path, epoch: float = 0.0, *, going_on: bool = False) -> None:
        self.path = path
        self.epoch = epoch
        self._fd = _file_again(path) if going_on and path.exists() else _new_file(path)

    def write(self, record: StepRecord) -> None:
        """Append one record. OSError if it could not be written whole (a full disk)."""
        _write_line(self._fd, self.path, record.line(self.epoch))

    @property
    def size(self) -> int:
        """Bytes written so far, for `cut`."""
        return os.fstat(self._fd).st_size

    def cut(self, size: int) -> None:
        """Remove all that was written after the file had `size` bytes. OSError."""
        os.ftruncate(self._fd, size)

    def rewind(self, step: int) -> None:
        """Remove the first record of `step` or a later one, and all that follow. OSError."""
        _cut(self._fd, self.path, step)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def whole_lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of `file`, each with its newline. A last line without one was cut short and is left out.

    OSError, for example if the file does not exist.
    """
    with open(file, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield line
