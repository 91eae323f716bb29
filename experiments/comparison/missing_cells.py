"""The cells of a sweep that have no run to be compared, so that they are not lost: failed, taken away, not yet run."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable
from pathlib import Path

from common.errors import ConfigError
from experiments.format.words import plural
from experiments.schema.records import JournalEntry
from experiments.sweep.journal import NAME, finished


def lost_cells(paths: Iterable[str | Path]) -> list[str]:
    """A line for each failed cell of the sweeps in `paths` that has no finished run folder. Raises ConfigError."""
    return [
        f"cell {line.cell} failed without a run: {' '.join((line.error or 'no reason recorded').split())}"
        for folder in map(Path, paths)
        for line in finished(folder)
        if line.status != "ok" and not _ended(folder, line)
    ]


def gone_cells(paths: Iterable[str | Path]) -> list[str]:
    """A line for each cell of the sweeps in `paths` that was done, and whose run has been taken away. ConfigError."""
    return [
        f"cell {line.cell} was done, and its run, {line.folder}, is not there any more"
        for folder in map(Path, paths)
        for line in finished(folder)
        if line.status == "ok" and not _ended(folder, line)
    ]


def unfinished(paths: Iterable[str | Path]) -> list[str]:
    """A line for each sweep in `paths`, or that a pattern in them matches, of which runs are missing, and what to do.

    The grid is planned anew for that; where it cannot be (a strategy or data set that is not to be had here), the line
    says so. ConfigError if a journal is damaged.
    """
    matched = [each for path in paths for each in ([path] if Path(path).exists() else sorted(glob.glob(str(path))))]
    folders = [folder for folder in dict.fromkeys(map(Path, matched)) if (folder / NAME).is_file()]
    return [line for folder in folders if (line := _unfinished(folder))]


def _unfinished(sweep: Path) -> str:
    from experiments.sweep.folder import SPEC, check_cells, reopen
    from experiments.sweep.grid import make_grid

    if not (sweep / SPEC).is_file():
        return ""
    done = {(line.cell, line.repeat): line for line in finished(sweep)}
    try:
        asked = reopen(sweep)
        grid = make_grid(asked)
        check_cells(done, grid, sweep)
    except ConfigError as error:
        return f"whether the sweep in {sweep} is finished is not known: {' '.join(str(error).split())}"
    count = len(grid.cells) * asked.repeats
    if len(done) >= count:
        return ""
    resume = shlex.join(["syncbench", "sweep", "--resume", str(sweep)])
    return f"the sweep is not finished, {len(done)} of {plural(count, 'run')} are done: go on with {resume}"


def _ended(sweep: Path, line: JournalEntry) -> bool:
    return line.folder is not None and (sweep / line.folder / "summary.json").is_file()
