"""A sweep in words and tables: its grid, what it left out, and how it ended."""

import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.format.table import Column, Table
from experiments.format.words import plural, turns
from experiments.schema.records import JournalEntry
from experiments.sweep.estimate import duration, whole
from experiments.sweep.grid import Cell, Grid
from experiments.sweep.spec import CEILING, Sweep, text


def headline(sweep: Sweep, grid: Grid, seconds: Mapping[str, float]) -> str:
    """`scaling: 18 cells, 5 times in turns: 90 runs, about 8 min`."""
    size, runs = plural(len(grid.cells), "cell"), plural(len(grid.cells) * sweep.repeats, "run")
    return f"{sweep.name}: {size}, {turns(sweep.repeats)}: {runs}, about {duration(whole(seconds, sweep.repeats))}"


def remarks(sweep: Sweep, grid: Grid) -> list[str]:
    """Return a line for each reason why something is not in the grid."""
    lines = [f"{key}: no axis for {', '.join(dict.fromkeys(names))}" for key, names in grid.not_applied.items()]
    reasons = defaultdict(list)
    for each in grid.left_out:
        reasons[each.reason].append(each.about)
    for reason, abouts in reasons.items():
        more = f" and {len(abouts) - 1} more" if len(abouts) > 1 else ""
        lines.append(f"left out: {abouts[0]}{more}: {reason}")
    if not sweep.ceiling and all(cell.strategy != CEILING for cell in grid.cells):
        lines.append("no ceiling: no run will show how fast training is without synchronisation")
    return lines


def runs_left(sweep: Sweep, grid: Grid, done: Container[tuple[str, int]]) -> dict[str, int]:
    """Return how many runs of each cell are left, given those that are `done`, by (cell, repeat)."""
    repeats = range(1, sweep.repeats + 1)
    return {cell.id: sum((cell.id, repeat) not in done for repeat in repeats) for cell in grid.cells}


def grid_table(grid: Grid, seconds: Mapping[str, float], repeats: int, left: Mapping[str, int]) -> Table[Cell]:
    """Return a table with a row for each cell with runs left: its settings, its seconds, its runs left."""

    def chosen(name: str, cell: Cell) -> Any:
        return text({**cell.settings, **cell.options}.get(name))

    begun = any(count < repeats for count in left.values())
    settings = [cell.settings for cell in grid.cells]
    keys = dict.fromkeys(key for each in settings for key in each)
    names = [key for key in keys if len({str(each[key]) for each in settings if key in each}) > 1]
    names += dict.fromkeys(key for cell in grid.cells for key in cell.options)
    columns: list[Column[Cell]] = [Column("strategy", lambda cell: cell.strategy, words=True)]
    columns += [Column(name, partial(chosen, name), words=True) for name in names]
    columns += [Column("one run", lambda cell: f"{seconds[cell.id]:.1f} s")]
    columns += [Column("runs left", lambda cell: f"{left[cell.id]} of {repeats}")] if begun else []
    columns += [Column("together", lambda cell: duration(seconds[cell.id] * left[cell.id]))]
    return Table(columns, [cell for cell in grid.cells if left[cell.id]])


def what_is_left(sweep: Sweep, seconds: Mapping[str, float], left: Mapping[str, int]) -> str:
    """`left: 12 of 90 runs, about 40 s`."""
    if not sum(left.values()):
        return "left: nothing, all runs are done"
    rest = math.fsum(seconds[cell] * count for cell, count in left.items())
    return f"left: {sum(left.values())} of {plural(len(left) * sweep.repeats, 'run')}, about {duration(rest)}"


def document(
    sweep: Sweep, grid: Grid, seconds: Mapping[str, float], entries: Sequence[JournalEntry], folder: Path | None
) -> dict[str, Any]:
    """Return the sweep as JSON values. Before it has begun, `folder` is None and no cell has runs."""
    left = runs_left(sweep, grid, {(entry.cell, entry.repeat) for entry in entries})
    failed = [entry for entry in entries if entry.status == "failed"]
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
                "runs_left": left[cell.id],
            }
            for cell in grid.cells
        ],
        "left_out": [{"cell": each.about, "reason": each.reason} for each in grid.left_out],
        "failed": [{key: getattr(entry, key) for key in ("cell", "repeat", "error", "folder")} for entry in failed],
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
    return [f"results: {folder}", "next:", *(f"  syncbench {verb} {folder}" for verb in ("compare", "plot", "report"))]
