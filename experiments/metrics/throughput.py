"""Samples per second while all work: from the last worker's end of warm-up to the first one's end of its last step.

Outside of that window a figure would say little where workers do not wait for each other: a fast one finishes early,
and what then counts is how long the slow one is alone. Steps at the edges count by their part in the window. Where
all end their steps together, that is the number of steps after the warm-up over the time that they took.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np


class ThroughputWindow:
    """When each worker process ended its steps, and how much of each was applied: 16 bytes a step."""

    def __init__(self, processes: int) -> None:
        self._ends = [array("d") for _ in range(processes)]  # first the begin of the first step
        self._counts = [array("d", [0.0]) for _ in range(processes)]

    def add(self, process: int, row: Mapping[str, Any], dropped: float = 0.0) -> None:
        """The next step of a process, by its record; of its push a share `dropped`, 0 … 1, was not applied."""
        if not self._ends[process]:
            self._ends[process].append(row["began"])
        self._ends[process].append(row["ended"])
        self._counts[process].append(0.0 if row.get("skipped") else 1.0 - dropped)

    def window(self, warmup: int) -> tuple[float, float] | None:
        """In which all processes work after their first `warmup` steps, in seconds; None if that never was."""
        if not self._ends or min(map(len, self._ends)) <= warmup + 1:
            return None
        start, end = max(ends[warmup] for ends in self._ends), min(ends[-1] for ends in self._ends)
        return (start, end) if end > start else None

    def steps_per_second(self, warmup: int) -> float | None:
        """Applied steps of all processes together, per second of the window; None where there is none."""
        if (window := self.window(warmup)) is None:
            return None
        done = [
            float(np.diff(np.interp(window, np.asarray(ends), np.cumsum(counts)))[0])
            for ends, counts in zip(self._ends, self._counts, strict=True)
        ]
        return sum(done) / (window[1] - window[0])
