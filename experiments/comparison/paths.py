"""A comparison of what lies in folders: runs, sweeps, patterns; and what is there but cannot be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from experiments.comparison.cells import gone_cells, lost_cells
from experiments.comparison.compare import compare_runs
from experiments.comparison.contest import Comparison
from experiments.comparison.predicted import unreadable
from experiments.results import find_runs, half_written


def compare_paths(paths: Sequence[str], baseline: str | None = None) -> Comparison:
    """As `compare_runs`, of all runs that `find_runs` finds; half-written runs, cells without a run and
    damaged calibrations are warnings.

    The same asked for in two folders of runs (before and after a change, say) is compared and not taken for repeats;
    runs that are named one by one are. Raises ConfigError.
    """
    comparison = compare_runs(find_runs(paths), baseline, _origins(paths))
    half = [f"half-written run, passed over: {folder}" for folder in half_written(paths)]
    lines = (*comparison.warnings, *half, *lost_cells(paths), *gone_cells(paths), *unreadable(comparison))
    return dataclasses.replace(comparison, warnings=lines)


def _origins(paths: Sequence[str]) -> dict[Path, str]:
    """By run, the first folder of runs, or pattern, that it was found by; nothing for runs named one by one."""
    several = [path for path in dict.fromkeys(paths) if not (Path(path) / "summary.json").is_file()]
    last = [Path(path).name or path for path in several]
    shown = dict(zip(several, last if len(set(last)) == len(last) else several, strict=True))
    found: dict[Path, str] = {}
    for path, name in shown.items():
        for run in find_runs([path]):
            found.setdefault(run.path, name)
    return found
