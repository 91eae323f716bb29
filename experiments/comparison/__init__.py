"""Runs beside each other: which may be compared, and how sure a difference between them is."""

from __future__ import annotations

from experiments.comparison.compare import compare_runs
from experiments.comparison.load import compare_paths
from experiments.comparison.model import Comparison, Contest, Entry
from experiments.metrics.intervals import Interval

__all__ = ["Comparison", "Contest", "Entry", "Interval", "compare_paths", "compare_runs"]
