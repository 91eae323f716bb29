"""The loss that time is measured to, where nobody says which."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from experiments.charts.material import KINDS
from experiments.comparison import Entry
from experiments.learning import loss_by_time, rounded_up


def goal_of(entries: Iterable[Entry]) -> float | None:
    """A loss that most of the contenders reached, rounded up to one significant digit. None where none recorded any.

    A tenth above what the middle one of them ended with: near enough to the end to tell them apart, and not so near
    that noise decides who reaches it.
    """
    final = []
    for entry in entries:
        if entry.strategy not in KINDS and entry.refused is None and (loss := loss_by_time(entry.run)[1]).size:
            final.append(float(loss[-1]))
    return rounded_up(1.1 * median(final)) if final else None
