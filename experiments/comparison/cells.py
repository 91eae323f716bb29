"""The cells of a sweep that have no run to be compared, so that they are not lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from experiments.sweep.journal import Line, finished


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


def _ended(sweep: Path, line: Line) -> bool:
    return line.folder is not None and (sweep / line.folder / "summary.json").is_file()
