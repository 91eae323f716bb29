"""What the workers' step records add up to, read in one pass, a step at a time, whatever their number."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.ledger import Ledger
from common.stages import STAGES

TAIL = 1 << 16  # bytes at the end of a file that hold its last line
Rows = list[dict[str, Any]]  # one a worker process, all of one step


@dataclass(slots=True)
class Totals:
    """Over the steps that every worker has done. Times are seconds since the start of the job."""

    steps: int = 0
    skipped: list[int] = field(default_factory=list)  # of those, by worker process: too late, not trained
    began: float = 0.0  # the first step, at the first worker
    warm: float | None = None  # the end of the warm-up, at the last worker; None if there were no more steps than that
    ended: float = 0.0  # the last step, at the last worker
    loss: float | None = None  # of the last step, mean over the workers that trained in it
    stage_seconds: dict[str, float] = field(default_factory=dict)  # mean over the workers
    hidden_seconds: float = 0.0  # of synchronisation, beside train; mean over the workers
    ledger_sha256: str | None = None


def add_up(files: Sequence[Path], warmup: int) -> Totals:
    """Read the record files of all worker processes, by rank; `warmup` steps are not counted as steady.

    A file that is missing, or cut short in its last line, ends the pass at that step.
    """
    totals, ledger = Totals(skipped=[0] * len(files)), Ledger()
    sums, hidden = dict.fromkeys(STAGES, 0.0), 0.0
    for rows in _steps(files):
        if not totals.steps:
            totals.began = min(row["began"] for row in rows)
        if totals.steps == warmup:
            totals.warm = totals.ended if warmup else totals.began
        totals.steps += 1
        totals.ended = max(row["ended"] for row in rows)
        if losses := [row["loss"] for row in rows if not row.get("skipped")]:
            totals.loss = sum(losses) / len(losses)
        for index, row in enumerate(rows):
            totals.skipped[index] += bool(row.get("skipped"))
            hidden += row.get("hidden_seconds", 0.0)
            for stage, seconds in row["seconds"].items():
                sums[stage] += seconds
        worker = 0
        for row in rows:  # by rank; a process that stands for all workers has them in order
            for samples in row["samples"]:
                ledger.add(row["step"], worker, samples)
                worker += 1
    if totals.steps:
        totals.stage_seconds = {stage: seconds / len(files) for stage, seconds in sums.items()}
        totals.hidden_seconds = hidden / len(files)
        totals.ledger_sha256 = ledger.hexdigest()
    return totals


def _steps(files: Sequence[Path]) -> Iterator[Rows]:
    with contextlib.ExitStack() as stack:
        try:
            opened = [stack.enter_context(open(file, encoding="utf-8")) for file in files]
        except FileNotFoundError:
            return
        for lines in zip(*opened, strict=False):
            if not all(line.endswith("\n") for line in lines):
                return
            yield [json.loads(line) for line in lines]


def last_steps(files: Sequence[Path]) -> int:
    """How many steps every worker has done, from the last whole line of each file."""
    return min(_steps_in(file) for file in files)


def _steps_in(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as rows:
        rows.seek(max(0, rows.seek(0, os.SEEK_END) - TAIL))
        whole = [line for line in rows.read().splitlines(keepends=True)[1:] if line.endswith(b"\n")]
        return int(json.loads(whole[-1])["step"]) + 1 if whole else 0
    return 0
