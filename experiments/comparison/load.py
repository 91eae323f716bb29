"""A comparison of what lies in folders: runs, sweeps, patterns; and what is there but cannot be compared."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from experiments.comparison.compare import compare_runs
from experiments.comparison.missing_cells import gone_cells, lost_cells, unfinished
from experiments.comparison.model import Comparison
from experiments.comparison.predictions import unreadable
from experiments.format.words import listed
from experiments.runs.find import find_runs, half_written
from experiments.sweep.yaml_files import load

SWEEP = "sweep.yaml"
_FOLDER = re.compile(r"\d{8}T\d{6}Z-sweep-(.+)-[0-9a-f]{6}")  # as it was made


def compare_paths(paths: Sequence[str | Path], baseline: str | None = None) -> Comparison:
    """As `compare_runs`, of all runs that `find_runs` finds; half-written runs, cells without a run,
    sweeps that are not finished and damaged calibrations are warnings.

    The same asked for in two folders of runs (before and after a change, say) is compared and not taken for repeats;
    runs that are named one by one are. Raises ConfigError.
    """
    comparison = compare_runs(find_runs(paths), baseline, _origins(paths), _first_of_sweep(paths))
    half = [f"half-written run, passed over: {folder}" for folder in half_written(paths)]
    cells = [*unfinished(paths), *lost_cells(paths), *gone_cells(paths)]
    more = [*merged_sweeps(comparison), *half, *cells, *unreadable(comparison)]
    return dataclasses.replace(comparison, warnings=(*comparison.warnings, *more))


def merged_sweeps(comparison: Comparison) -> list[str]:
    """A line for each sweep that is here more than once, as by a pattern that an earlier one matches, too.

    Of sweeps whose folders were given names of their own nothing is said: that was meant.
    """
    found: dict[str, dict[Path, None]] = {}
    mixed: set[str] = set()
    for entry in (entry for contest in comparison.contests for entry in contest.entries):
        homes = dict.fromkeys(run.path.parent for run in entry.runs if (run.path.parent / SWEEP).is_file())
        for home in homes:
            if match := _FOLDER.fullmatch(home.name):
                found.setdefault(match[1], {})[home] = None
                mixed |= {match[1]} if len(homes) > 1 else set()
    return [
        f"{len(homes)} sweeps called {name} are {'taken for repeats of one' if name in mixed else 'compared'}, "
        f"{listed([home.name for home in homes])}: give one folder for that one alone"
        for name, homes in found.items()
        if len(homes) > 1
    ]


def _first_of_sweep(paths: Sequence[str | Path]) -> str | None:
    """The strategy that the sweep at `paths` names first: the one that the others were put beside."""
    files = [file for path in paths if (file := Path(path) / SWEEP).is_file()]
    if len(files) != 1 or len(paths) != 1:
        return None
    named = load(files[0]).get("strategies")
    head = named[0] if isinstance(named, list) and named else named
    name = head.get("name") if isinstance(head, dict) else head
    return name if isinstance(name, str) else None


def _origins(paths: Sequence[str | Path]) -> dict[Path, str]:
    """By run, the first folder of runs, or pattern, that it was found by; nothing for runs named one by one."""
    several = [path for path in dict.fromkeys(paths) if not (Path(path) / "summary.json").is_file()]
    last, whole = [Path(path).name or str(path) for path in several], list(map(str, several))
    shown = dict(zip(several, last if len(set(last)) == len(last) else whole, strict=True))
    found: dict[Path, str] = {}
    for path, name in shown.items():
        for run in find_runs([path]):
            found.setdefault(run.path, name)
    return found
