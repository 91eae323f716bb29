"""A sweep in words and tables: its grid, what it left out, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from experiments.format.table import Column, Table, terminal_table
from experiments.format.words import plural, turns
from experiments.schema.records import JournalEntry
from experiments.sweep.estimate import duration, whole
from experiments.sweep.grid import Cell, Grid
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
    """Return what is not in the grid, and why: a line for each reason."""
    lines = [f"{key}: no axis for {', '.join(dict.fromkeys(names))}" for key, names in grid.not_applied.items()]
    reasons: dict[str, list[str]] = {}
    for each in grid.left_out:
        reasons.setdefault(each.reason, []).append(each.about)
    for reason, abouts in reasons.items():
        more = f" and {len(abouts) - 1} more" if len(abouts) > 1 else ""
        lines.append(f"left out: {abouts[0]}{more}: {reason}")
    if not sweep.ceiling and all(cell.strategy != CEILING for cell in grid.cells):
        lines.append("no ceiling: no run will show how fast training is without synchronisation")
    return lines


def grid_table(
    grid: Grid, seconds: Mapping[str, float], repeats: int, done: Container[tuple[str, int]] = ()
) -> RichTable:
    """Return a table with a row for each cell: what tells it from the others, and an estimate of its seconds.

    If some runs are `done`, by (cell, repeat), the table has only cells with runs left, and how many are left.
    """
    left = {cell.id: _left(cell.id, repeats, done) for cell in grid.cells}
    begun = any(count < repeats for count in left.values())
    columns: list[Column[Cell]] = [Column("strategy", lambda cell: cell.strategy, words=True)]
    columns += [Column(name, partial(_chosen, name), words=True) for name in _columns(grid)]
    columns += [Column("one run", lambda cell: f"{seconds[cell.id]:.1f} s")]
    columns += [Column("runs left", lambda cell: f"{left[cell.id]} of {repeats}")] if begun else []
    last = "together" if begun else f"all {repeats}"
    columns += [Column(last, lambda cell: duration(seconds[cell.id] * left[cell.id]))]
    return terminal_table(Table(columns, [cell for cell in grid.cells if left[cell.id]]))


def _chosen(name: str, cell: Cell) -> Any:
    """Return the value of a setting or an option in this cell; None if it has none."""
    return text({**cell.settings, **cell.options}.get(name))


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
    """Return the settings and options in which cells differ."""
    every = [cell.settings for cell in grid.cells]
    keys = dict.fromkeys(key for settings in every for key in settings)
    settings = [key for key in keys if len({str(each[key]) for each in every if key in each}) > 1]
    return [*settings, *dict.fromkeys(key for cell in grid.cells for key in cell.options)]


def document(
    sweep: Sweep, grid: Grid, seconds: Mapping[str, float], entries: Sequence[JournalEntry], folder: Path | None
) -> dict[str, Any]:
    """Return the sweep as JSON values. Before it has begun, `folder` is None and no cell has runs."""
    done = {(entry.cell, entry.repeat) for entry in entries}
    failed = [entry for entry in entries if entry.status != "ok"]
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
                "runs": [entry.folder for entry in entries if entry.cell == cell.id and entry.status == "ok"],
                "runs_left": _left(cell.id, sweep.repeats, done),
            }
            for cell in grid.cells
        ],
        "left_out": [{"cell": each.about, "reason": each.reason} for each in grid.left_out],
        "failed": [
            {"cell": entry.cell, "repeat": entry.repeat, "error": entry.error, "folder": entry.folder}
            for entry in failed
        ],
    }


def failures(grid: Grid, entries: Sequence[JournalEntry]) -> list[str]:
    """Return a line for each run that failed."""
    about = {cell.id: cell.about for cell in grid.cells}
    return [
        f"failed: {about[entry.cell]}, repeat {entry.repeat}: {entry.error} ({entry.folder})"
        for entry in entries
        if entry.status != "ok"
    ]


def next_steps(folder: Path) -> list[str]:
    """Return the lines that say where the results are, and which verbs read them."""
    return [f"results: {folder}", "next:", *(f"  syncbench {verb} {folder}" for verb in NEXT)]
