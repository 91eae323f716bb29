"""What the workers' step records add up to, read in one pass, a step at a time, whatever their number."""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.records.ledger import Ledger
from common.records.stage_clock import STAGES
from experiments.metrics.staleness import PushTotals

TAIL = 1 << 16  # bytes at the end of a file that hold its last line
Rows = dict[int, dict[str, Any]]  # of each worker process, by rank, all of one step


@dataclass(slots=True)
class StepTotals:
    """Over the steps that every worker has done. Times are seconds since the start of the job."""

    steps: int = 0
    skipped: list[int] = field(default_factory=list)  # of those, by worker process: too late, not trained
    began: float = 0.0  # the first step, at the first worker
    ended: float = 0.0  # the last step, at the last worker
    loss: float | None = None  # of the last step, mean over the workers that trained in it
    stage_seconds: dict[str, float] = field(default_factory=dict)  # mean over the workers
    hidden_seconds: float = 0.0  # of synchronisation, beside train; mean over the workers
    ledger_sha256: str | None = None
    steps_per_second: float | None = None  # all workers, after the warm-up; see ThroughputWindow


def add_up(
    files: Sequence[Path],
    warmup: int,
    pushes: PushTotals | None = None,
    departed: Collection[int] = (),
) -> StepTotals:
    """Read the record files of all worker processes, by rank; `warmup` steps are not counted as steady.

    A file that is missing, or cut short in its last line, ends the pass at that step; but who has `departed` drops out,
    and the others' steps go on. `pushes` says which were not applied.
    """
    totals, ledger, pace = StepTotals(skipped=[0] * len(files)), Ledger(), ThroughputWindow(len(files))
    sums, hidden = dict.fromkeys(STAGES, 0.0), 0.0
    for by_rank in _steps(files, departed):
        rows = list(by_rank.values())
        if not totals.steps:
            totals.began = min(row["began"] for row in rows)
        totals.steps += 1
        totals.ended = max(row["ended"] for row in rows)
        if losses := [row["loss"] for row in rows if not row.get("skipped")]:
            totals.loss = sum(losses) / len(losses)
        for index, row in by_rank.items():
            pace.add(index, row, pushes.share_dropped(index, row["step"]) if pushes else 0.0)
            totals.skipped[index] += bool(row.get("skipped"))
            hidden += row.get("hidden_seconds", 0.0)
            for stage, seconds in row["seconds"].items():
                sums[stage] += seconds
            for offset, samples in enumerate(row["samples"]):  # a process that stands for all has them in order
                ledger.add(row["step"], index + offset, samples)
    if totals.steps:
        totals.stage_seconds = {stage: seconds / len(files) for stage, seconds in sums.items()}
        totals.hidden_seconds = hidden / len(files)
        totals.ledger_sha256 = ledger.hexdigest()
        totals.steps_per_second = pace.steps_per_second(warmup)
    return totals


def _steps(files: Sequence[Path], departed: Collection[int]) -> Iterator[Rows]:
    with contextlib.ExitStack() as stack:
        try:
            opened = {rank: stack.enter_context(open(file, encoding="utf-8")) for rank, file in enumerate(files)}
        except FileNotFoundError:
            return
        while opened:
            lines = {rank: file.readline() for rank, file in opened.items()}
            for rank in [rank for rank, line in lines.items() if not line.endswith("\n")]:
                if rank not in departed:
                    return
                del lines[rank], opened[rank]
            if lines:
                yield {rank: json.loads(line) for rank, line in lines.items()}


def last_steps(files: Sequence[Path]) -> int:
    """How many steps every worker has done, from the last whole line of each file."""
    return min(_steps_in(file) for file in files)


def _steps_in(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as rows:
        rows.seek(max(0, rows.seek(0, os.SEEK_END) - TAIL))
        whole = [line for line in rows.read().splitlines(keepends=True)[1:] if line.endswith(b"\n")]
        return int(json.loads(whole[-1])["step"]) + 1 if whole else 0
    return 0


class ThroughputWindow:
    """When each worker process ended its steps, and how much of each was applied: 16 bytes a step."""

    def __init__(self, processes: int) -> None:
        self._ends = [array("d") for _ in range(processes)]  # first the begin of the first step
        self._counts = [array("d", [0.0]) for _ in range(processes)]

    def add(self, process: int, row: Mapping[str, Any], dropped: float = 0.0) -> None:
        """The next step of a process, by its record; of its push a share `dropped`, 0 … 1, was not applied."""
        if not self._ends[process]:
            self._ends[process].append(row["began"])
        self._ends[process].append(row["ended"])
        self._counts[process].append(0.0 if row.get("skipped") else 1.0 - dropped)

    def window(self, warmup: int) -> tuple[float, float] | None:
        """In which all processes work after their first `warmup` steps, in seconds; None if that never was."""
        if not self._ends or min(map(len, self._ends)) <= warmup + 1:
            return None
        start, end = max(ends[warmup] for ends in self._ends), min(ends[-1] for ends in self._ends)
        return (start, end) if end > start else None

    def steps_per_second(self, warmup: int) -> float | None:
        """Applied steps of all processes together, per second of the window; None where there is none."""
        if (window := self.window(warmup)) is None:
            return None
        done = [
            float(np.diff(np.interp(window, np.asarray(ends), np.cumsum(counts)))[0])
            for ends, counts in zip(self._ends, self._counts, strict=True)
        ]
        return sum(done) / (window[1] - window[0])
