"""A comparison of what lies in folders: runs, sweeps, patterns; and what is there but cannot be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from experiments.comparison.cells import lost_cells
from experiments.comparison.compare import compare_runs
from experiments.comparison.contest import Comparison
from experiments.results import find_runs, half_written


def compare_paths(paths: Sequence[str], baseline: str | None = None) -> Comparison:
    """As `compare_runs`, of all runs that `find_runs` finds; half-written runs and lost cells are warnings.

    Raises ConfigError.
    """
    comparison = compare_runs(find_runs(paths), baseline)
    half = [f"half-written run, passed over: {folder}" for folder in half_written(paths)]
    return dataclasses.replace(comparison, warnings=(*comparison.warnings, *half, *lost_cells(paths)))
