"""Add up the step records of all workers, in one pass that holds one step at a time."""

import contextlib
import os
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from common.records.ledger import Ledger
from common.records.stage_clock import STAGES
from experiments.metrics.staleness import PushTotals
from experiments.schema.records import StepRow

TAIL = 1 << 16  # bytes at the end of a file that hold its last line
_DECODER = msgspec.json.Decoder(StepRow)


@dataclass(slots=True)
class StepTotals:
    """Totals over the steps that every worker has done."""

    steps: int = 0
    skipped: list[int] = field(default_factory=list)  # steps for which each worker process was too late
    loss: float | None = None  # of the last step, mean over the workers that trained in it
    stage_seconds: dict[str, float] = field(default_factory=dict)  # mean over the workers
    hidden_seconds: float = 0.0  # of synchronisation that ran beside `train`; mean over the workers
    ledger_sha256: str | None = None
    steps_per_second: float | None = None  # of all workers, after the warm-up; see ThroughputWindow


def add_up(
    files: Sequence[Path], warmup: int, pushes: PushTotals | None = None, departed: Collection[int] = ()
) -> StepTotals:
    """Add up the step records of all worker processes, by rank, to the first step that one of them lacks.

    A rank that is in `departed` only drops out there. The throughput leaves out `warmup` steps and dropped `pushes`.
    """
    totals, ledger, window = StepTotals(skipped=[0] * len(files)), Ledger(), ThroughputWindow(len(files))
    sums = dict.fromkeys(STAGES, 0.0)
    for by_rank in _steps(files, departed):
        totals.steps += 1
        if losses := [row.loss for row in by_rank.values() if row.loss is not None]:
            totals.loss = sum(losses) / len(losses)
        for rank, row in by_rank.items():
            window.add(rank, row, pushes.share_dropped(rank, row.step) if pushes else 0.0)
            totals.skipped[rank] += row.skipped
            totals.hidden_seconds += row.hidden_seconds / len(files)
            for stage, seconds in row.seconds.by_stage().items():
                sums[stage] += seconds
            for offset, samples in enumerate(row.samples):  # a process that stands for all workers has theirs in order
                ledger.add(row.step, rank + offset, samples)
    if totals.steps:
        totals.stage_seconds = {stage: seconds / len(files) for stage, seconds in sums.items()}
        totals.ledger_sha256 = ledger.hexdigest()
        totals.steps_per_second = window.steps_per_second(warmup)
    return totals


def _steps(files: Sequence[Path], departed: Collection[int]) -> Iterator[dict[int, StepRow]]:
    with contextlib.ExitStack() as stack:
        try:
            opened = {rank: stack.enter_context(open(file, "rb")) for rank, file in enumerate(files)}
        except FileNotFoundError:
            return
        while opened:
            lines = {rank: file.readline() for rank, file in opened.items()}
            for rank in [rank for rank, line in lines.items() if not line.endswith(b"\n")]:
                if rank not in departed:
                    return
                del lines[rank], opened[rank]
            if lines:
                yield {rank: _DECODER.decode(line) for rank, line in lines.items()}


def last_steps(files: Sequence[Path]) -> int:
    """Return how many steps every worker has done, by the last whole line of each file."""
    steps = [0] * len(files)
    for rank, file in enumerate(files):
        with contextlib.suppress(FileNotFoundError), open(file, "rb") as rows:
            rows.seek(max(0, rows.seek(0, os.SEEK_END) - TAIL))
            if whole := [line for line in rows.read().splitlines(keepends=True)[1:] if line.endswith(b"\n")]:
                steps[rank] = _DECODER.decode(whole[-1]).step + 1
    return min(steps)


class ThroughputWindow:
    """The time in which all workers work: from the last worker's end of warm-up to the first worker's end of its steps.

    Where workers do not wait for each other, a fast worker finishes early, and the slow worker is alone for a while.
    Steps at the edges count by their part in the window. Takes 16 bytes a step.
    """

    def __init__(self, processes: int) -> None:
        self._ends = [array("d") for _ in range(processes)]  # of each step; first the begin of the first step
        self._counts = [array("d", [0.0]) for _ in range(processes)]  # how much of each step was applied

    def add(self, process: int, row: StepRow, dropped: float = 0.0) -> None:
        """Add the next step of a process; `dropped` is the share of its push, from 0 to 1, that was not applied."""
        if not self._ends[process]:
            self._ends[process].append(row.began)
        self._ends[process].append(row.ended)
        self._counts[process].append(0.0 if row.skipped else 1.0 - dropped)

    def window(self, warmup: int) -> tuple[float, float] | None:
        """Return the begin and end of the window, in seconds; None if it is empty."""
        if not self._ends or min(map(len, self._ends)) <= warmup + 1:
            return None
        start, end = max(ends[warmup] for ends in self._ends), min(ends[-1] for ends in self._ends)
        return (start, end) if end > start else None

    def steps_per_second(self, warmup: int) -> float | None:
        """Return the applied steps of all processes per second of the window; None if it is empty."""
        if (window := self.window(warmup)) is None:
            return None
        ranks = zip(self._ends, self._counts, strict=True)
        done = sum(np.diff(np.interp(window, ends, np.cumsum(counts)))[0] for ends, counts in ranks)
        return float(done / (window[1] - window[0]))
