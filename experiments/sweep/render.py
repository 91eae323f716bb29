"""What a sweep says for people: its grid, what it left out, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.runs.describe import plural, turns
from experiments.sweep.estimate import duration, whole
from experiments.sweep.grid import Grid
from experiments.sweep.journal import Line
from experiments.sweep.spec import CEILING, Sweep, text

NEXT = ("compare", "plot", "report")


def headline(sweep: Sweep, grid: Grid, seconds: Mapping[str, float]) -> str:
    """`scaling: 18 cells, 5 times in turns: 90 runs, about 8 min`."""
    runs = len(grid.cells) * sweep.repeats
    return (
        f"{sweep.name}: {plural(len(grid.cells), 'cell')}, {turns(sweep.repeats)}: {plural(runs, 'run')}, "
        f"about {duration(whole(seconds, sweep.repeats))}"
    )


def remarks(sweep: Sweep, grid: Grid) -> list[str]:
    """What is not in the grid, and why: a line a reason."""
    lines = [f"{key}: no axis for {', '.join(dict.fromkeys(names))}" for key, names in grid.not_applied.items()]
    reasons: dict[str, list[str]] = {}
    for each in grid.left_out:
        reasons.setdefault(each.reason, []).append(each.about)
    for reason, abouts in reasons.items():
        more = f" and {len(abouts) - 1} more" if len(abouts) > 1 else ""
        lines.append(f"left out: {abouts[0]}{more}: {reason}")
    if not sweep.ceiling and all(cell.strategy != CEILING for cell in grid.cells):
        lines.append("no ceiling: nothing will say how fast training is without synchronisation")
    return lines


def grid_table(grid: Grid, seconds: Mapping[str, float], repeats: int, done: Container[tuple[str, int]] = ()) -> Table:
    """A row a cell: what tells it from the others, and an estimate of its seconds.

    Where some of it is `done`, by (cell, repeat), only cells that have runs left, with how many.
    """
    columns = _columns(grid)
    left = {cell.id: _left(cell.id, repeats, done) for cell in grid.cells}
    begun = any(count < repeats for count in left.values())
    table = Table(title=None, header_style="bold")
    for name in ("strategy", *columns, "one run", *(("runs left", "together") if begun else (f"all {repeats}",))):
        table.add_column(name, justify="left" if name in ("strategy", *columns) else "right")
    for cell in grid.cells:
        told = {**cell.settings, **cell.options}
        values = ["" if told.get(name) is None else str(text(told[name])) for name in columns]
        one, count = seconds[cell.id], left[cell.id]
        if count:
            some = [f"{count} of {repeats}"] if begun else []
            table.add_row(cell.strategy, *values, f"{one:.1f} s", *some, duration(one * count))
    return table


def what_is_left(sweep: Sweep, grid: Grid, seconds: Mapping[str, float], done: Container[tuple[str, int]]) -> str:
    """`left: 12 of 90 runs, about 40 s`."""
    left = {cell.id: _left(cell.id, sweep.repeats, done) for cell in grid.cells}
    if not sum(left.values()):
        return "left: nothing, all runs are done"
    rest = math.fsum(seconds[cell] * count for cell, count in left.items())
    return f"left: {sum(left.values())} of {plural(len(grid.cells) * sweep.repeats, 'run')}, about {duration(rest)}"


def _left(cell: str, repeats: int, done: Container[tuple[str, int]]) -> int:
    return sum((cell, repeat) not in done for repeat in range(1, repeats + 1))


def _columns(grid: Grid) -> list[str]:
    """The settings and options in which cells differ."""
    every = [cell.settings for cell in grid.cells]
    keys = dict.fromkeys(key for told in every for key in told)
    settings = [key for key in keys if len({str(told[key]) for told in every if key in told}) > 1]
    return [*settings, *dict.fromkeys(key for cell in grid.cells for key in cell.options)]


def document(
    sweep: Sweep, grid: Grid, seconds: Mapping[str, float], lines: Sequence[Line], folder: Path | None
) -> dict[str, Any]:
    """The sweep as JSON values: before it has begun, `folder` is None and no cell has runs."""
    done = {(line.cell, line.repeat) for line in lines}
    failed = [line for line in lines if line.status != "ok"]
    return {
        "schema": 1,
        "name": sweep.name,
        "question": sweep.question,
        "results_dir": None if folder is None else str(folder),
        "repeats": sweep.repeats,
        "estimated_seconds": round(whole(seconds, sweep.repeats), 1),
        "cells": [
            {
                "cell": cell.id,
                "strategy": cell.strategy,
                "options": dict(cell.options),
                "settings": {key: text(value) for key, value in cell.settings.items()},
                "estimated_seconds": round(seconds[cell.id], 2),
                "runs": [line.folder for line in lines if line.cell == cell.id and line.status == "ok"],
                "runs_left": _left(cell.id, sweep.repeats, done),
            }
            for cell in grid.cells
        ],
        "left_out": [{"cell": each.about, "reason": each.reason} for each in grid.left_out],
        "failed": [
            {"cell": line.cell, "repeat": line.repeat, "error": line.error, "folder": line.folder} for line in failed
        ],
    }


def failures(grid: Grid, lines: Sequence[Line]) -> list[str]:
    """A line for each run that failed."""
    about = {cell.id: cell.about for cell in grid.cells}
    failed = [line for line in lines if line.status != "ok"]
    return [f"failed: {about[line.cell]}, repeat {line.repeat}: {line.error} ({line.folder})" for line in failed]


def next_steps(folder: Path) -> list[str]:
    """Where it is, and what to ask of it."""
    return [f"results: {folder}", "next:", *(f"  syncbench {verb} {folder}" for verb in NEXT)]
