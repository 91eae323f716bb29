"""Warn of the cells of a sweep that have no run to be compared: failed, removed or not yet run."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from common.errors import ConfigError
from experiments.format.words import plural
from experiments.sweep.folder import NAME, SPEC, check_cells, finished, reopen
from experiments.sweep.grid import make_grid


def cells_without_run(folders: Iterable[Path]) -> list[str]:
    """Return a line for each finished cell of the sweeps in `folders` without a complete run. ConfigError."""
    lines = []
    for folder in folders:
        for entry in finished(folder):
            if entry.folder is not None and (folder / entry.folder / "summary.json").is_file():
                continue
            if entry.status == "ok":
                lines.append(f"cell {entry.cell} is done, and its run {entry.folder} was removed")
            else:
                why = " ".join((entry.error or "no reason recorded").split())
                lines.append(f"cell {entry.cell} failed without a run: {why}")
    return lines


def unfinished_sweeps(folders: Iterable[Path]) -> list[str]:
    """Return a line for each sweep that lacks runs, or cannot be planned again here. ConfigError."""
    lines = []
    for folder in folders:
        if not (folder / NAME).is_file() or not (folder / SPEC).is_file():
            continue
        done = {(entry.cell, entry.repeat): entry for entry in finished(folder)}
        try:
            sweep = reopen(folder)
            grid = make_grid(sweep)
            check_cells(done, grid, folder)
        except ConfigError as error:
            why = " ".join(str(error).split())
            lines.append(f"whether the sweep in {folder} is finished is unknown: {why}")
            continue
        count = len(grid.cells) * sweep.repeats
        if len(done) < count:
            resume = shlex.join(["syncbench", "sweep", "--resume", str(folder)])
            lines.append(
                f"the sweep is not finished, {len(done)} of {plural(count, 'run')} are done: go on with {resume}"
            )
    return lines
