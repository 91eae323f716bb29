"""The loss that time is measured to where nobody says which, and who was there first: the same in every chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from experiments.charts.material import KINDS
from experiments.charts.titles import learning_time
from experiments.comparison import Entry
from experiments.runs.loss_curves import loss_by_time, rounded_up, seconds_to_loss


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


def times_to(entry: Entry, goal: float) -> list[float]:
    """Seconds to `goal` of each repeat, infinite for one that never was there."""
    return [math.inf if (seconds := seconds_to_loss(run, goal)) is None else seconds for run in entry.runs]


def middle_time(times: Sequence[float]) -> float:
    """The median; infinity if half of the repeats or more did not get there."""
    return median(times) if sum(map(math.isfinite, times)) * 2 > len(times) else math.inf


def race(goal: float, times: Mapping[str, Sequence[float]]) -> str:
    """A title, from the seconds of each repeat by label: who was there first by the median, and who last."""
    reached = {label: middle for label, each in times.items() if math.isfinite(middle := middle_time(each))}
    first, *others = sorted(reached, key=reached.__getitem__) or [""]
    overlap = bool(others) and len(times[first]) > 1 and max(times[first]) >= min(min(times[one]) for one in others)
    return learning_time(goal, reached, len(times) - len(reached), overlap)
