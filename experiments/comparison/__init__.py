"""Runs beside each other: which may be compared, and how sure a difference between them is."""

from __future__ import annotations

from experiments.comparison.compare import compare_runs
from experiments.comparison.contest import Comparison, Contest, Entry
from experiments.comparison.paths import compare_paths
from experiments.statistics import Interval

__all__ = ["Comparison", "Contest", "Entry", "Interval", "compare_paths", "compare_runs"]
