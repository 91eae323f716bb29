"""Files of one JSON object a line: step records and events, written when they happen.

Each line reaches the operating system in one call, so the file of a killed process holds whole lines.
"""

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

    `samples` are the ledger's digests, one for each worker that this process stands for. A server has no samples and no
    loss. A worker that came too late `skipped` the step: it drew the samples and did not train, so it has no loss.
    `began` and `ended` are seconds on the rank's clock; `seconds` are the seconds spent in each of the six stages.
    `hidden_seconds` of synchronisation ran beside `train`, so `seconds` counts them as `train`.
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
        """Return a line of JSON, times since `epoch` to 0.1 µs. By hand: json.dumps takes three times as long."""
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


class LineFile:
    """A file that grows line by line. It must be new (FileExistsError), unless `resumed`: then an existing one grows.

    A rank that was started again resumes its own file. The file is made with the first line, or by `open`.
    """

    def __init__(self, path: Path, *, resumed: bool = False) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND) if resumed and path.exists() else None

    def open(self) -> int:
        """Make the file if it is not open yet; returns its descriptor. FileExistsError."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        return self._fd

    def append(self, line: bytes) -> None:
        """Append a line that ends with a newline, in one call. OSError if it was not written whole (a full disk)."""
        if os.write(self.open() if self._fd is None else self._fd, line) != len(line):
            raise OSError(f"{self.path}: no room for a whole row; is the disk full?")

    @property
    def size(self) -> int:
        """Bytes written so far, for `cut`."""
        return 0 if self._fd is None else os.fstat(self._fd).st_size

    def cut(self, size: int) -> None:
        """Remove everything after the first `size` bytes. OSError."""
        if self._fd is not None:
            os.ftruncate(self._fd, size)

    def rewind(self, step: int) -> None:
        """Remove the first row of `step` or a later step, or the first torn row, and everything behind it. OSError."""
        if self._fd is None:
            return
        end = 0
        for row in whole_lines(self.path):
            if json.loads(row).get("step", -1) >= step:
                break
            end += len(row)
        os.ftruncate(self._fd, end)

    def close(self) -> None:
        """Close the file, if it was made."""
        if self._fd is not None:
            os.close(self._fd)


class Recorder(LineFile):
    """The file of a rank's step records, made at once. It counts seconds from `epoch` on the rank's clock."""

    def __init__(self, path: Path, epoch: float = 0.0, *, resumed: bool = False) -> None:
        super().__init__(path, resumed=resumed)
        self.epoch = epoch
        self.open()

    def write(self, record: StepRecord) -> None:
        """Append one record. OSError as `append`."""
        self.append(record.line(self.epoch).encode())


class EventLog(LineFile):
    """The events that a rank's strategy notes, each with the seconds `at` since `epoch` on the clock `now`."""

    def __init__(self, path: Path, now: Callable[[], float], epoch: float = 0.0, *, resumed: bool = False) -> None:
        super().__init__(path, resumed=resumed)
        self._now, self._epoch = now, epoch

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event. OSError as `append`; TypeError if it is not JSON."""
        line = json.dumps({"at": round(self._now() - self._epoch, 7), **event}) + "\n"
        self.append(line.encode())


def whole_lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of `file`, each with its newline, without a last line that was cut short. OSError."""
    with open(file, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield line
