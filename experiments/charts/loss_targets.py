"""The loss that time is measured to unless the user gives one, and which strategy reached it first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from experiments.charts.data import ROLES, ChartData
from experiments.charts.titles import learning_time
from experiments.comparison.model import Entry
from experiments.runs.loss_curves import loss_by_time, rounded_up, seconds_to_loss


def target(data: ChartData, entries: Iterable[Entry]) -> float | None:
    """Return the loss that the user gave, else one that most contenders reached; None without losses.

    It is a tenth above the final loss of the middle contender, rounded up to one significant digit: near enough to the
    end to tell the entries apart, and far enough that noise does not decide.
    """
    if data.loss is not None:
        return data.loss
    final = [
        float(loss[-1])
        for entry in entries
        if entry.strategy not in ROLES and entry.refused is None and (loss := loss_by_time(entry.run)[1]).size
    ]
    return rounded_up(1.1 * median(final)) if final else None


def times_to(entry: Entry, goal: float) -> list[float]:
    """Return the seconds to `goal` of each repeat; infinity for one that never reached it."""
    return [math.inf if (seconds := seconds_to_loss(run, goal)) is None else seconds for run in entry.runs]


def middle_time(times: Sequence[float]) -> float:
    """Return the median; infinity if half of the repeats or more did not reach the loss."""
    return median(times) if sum(map(math.isfinite, times)) * 2 > len(times) else math.inf


def race(goal: float, times: Mapping[str, Sequence[float]]) -> str:
    """Return a title from the seconds of each repeat by label: the first and the last by their medians."""
    reached = {label: middle for label, each in times.items() if math.isfinite(middle := middle_time(each))}
    first, *others = sorted(reached, key=reached.__getitem__) or [""]
    overlap = bool(others) and len(times[first]) > 1 and max(times[first]) >= min(min(times[one]) for one in others)
    return learning_time(goal, reached, len(times) - len(reached), overlap)
