"""Compare the runs in folders, sweeps and patterns, and warn of what cannot be compared."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

from common.errors import ConfigError
from experiments.comparison.compare import compare_runs
from experiments.comparison.model import Comparison
from experiments.comparison.predictions import with_predictions
from experiments.format.words import listed, plural
from experiments.runs.find import find_runs, half_written
from experiments.runs.run import Run
from experiments.sweep.folder import NAME, SPEC, check_cells, finished, reopen
from experiments.sweep.grid import make_grid
from experiments.sweep.parse import load

_FOLDER = re.compile(r"\d{8}T\d{6}Z-sweep-(.+)-[0-9a-f]{6}")  # a sweep's folder with the name that it was made with


def compare_paths(paths: Sequence[str | Path], baseline: str | None = None) -> Comparison:
    """Compare the runs that `find_runs` finds, with predictions. Equal ones of two folders are apart. ConfigError."""
    runs: dict[Path, Run] = {}  # by resolved path: a run that is named twice counts once
    origins: dict[Path, str] = {}
    several = [path for path in dict.fromkeys(paths) if not (Path(path) / "summary.json").is_file()]
    short = [Path(path).name or str(path) for path in several]
    names = dict(zip(several, short if len(set(short)) == len(short) else map(str, several), strict=True))
    for path in dict.fromkeys(paths):
        for run in find_runs([path]):
            kept = runs.setdefault(run.path.resolve(), run)
            if path in names:
                origins.setdefault(kept.path, names[path])
    comparison = with_predictions(compare_runs(list(runs.values()), baseline, origins, _first_strategy(paths)))
    matches = [Path(match) for path in paths for match in ([path] if Path(path).exists() else sorted(glob(str(path))))]
    warnings = [
        *_merged_sweeps(comparison),
        *(f"half-written run, passed over: {folder}" for folder in half_written(paths)),
        *(line for folder in dict.fromkeys(matches) for line in _lacking(folder)),
    ]
    return replace(comparison, warnings=(*comparison.warnings, *warnings))


def _first_strategy(paths: Sequence[str | Path]) -> str | None:
    """Return the strategy that the sweep at `paths` names first; None unless they are one sweep."""
    if len(paths) != 1 or not (file := Path(paths[0]) / SPEC).is_file():
        return None
    named = load(file).get("strategies")
    head = named[0] if isinstance(named, list) and named else named
    return head.get("name") if isinstance(head, dict) else head if isinstance(head, str) else None


def _merged_sweeps(comparison: Comparison) -> list[str]:
    """Return a line for each sweep of which several folders, with names as made, are compared."""
    folders: dict[str, dict[Path, None]] = {}
    mixed: set[str] = set()
    for entry in comparison.entries:
        parents = dict.fromkeys(run.path.parent for run in entry.runs if (run.path.parent / SPEC).is_file())
        for parent in parents:
            if match := _FOLDER.fullmatch(parent.name):
                folders.setdefault(match[1], {})[parent] = None
                mixed |= {match[1]} if len(parents) > 1 else set()
    return [
        f"{len(parents)} sweeps called {name} are {'taken for repeats of one' if name in mixed else 'compared'}, "
        f"{listed([parent.name for parent in parents])}: to use one of them, name its folder"
        for name, parents in folders.items()
        if len(parents) > 1
    ]


def _lacking(folder: Path) -> Iterator[str]:
    """Yield a line if the sweep in `folder` is not finished, and one for each finished cell without a complete run."""
    entries = list(finished(folder))
    if (folder / NAME).is_file() and (folder / SPEC).is_file():
        done = {(entry.cell, entry.repeat) for entry in entries}
        try:
            sweep = reopen(folder)
            grid = make_grid(sweep)
            check_cells(done, grid, folder)
            count = len(grid.cells) * sweep.repeats
            if len(done) < count:
                resume = shlex.join(["syncbench", "sweep", "--resume", str(folder)])
                yield f"the sweep is not finished, {len(done)} of {plural(count, 'run')} are done: go on with {resume}"
        except ConfigError as error:
            yield f"whether the sweep in {folder} is finished is unknown: {' '.join(str(error).split())}"
    for entry in entries:
        if entry.folder is not None and (folder / entry.folder / "summary.json").is_file():
            continue
        if entry.status == "ok":
            yield f"cell {entry.cell} is done, and its run {entry.folder} was removed"
        else:
            yield f"cell {entry.cell} failed without a run: {' '.join((entry.error or 'no reason recorded').split())}"
