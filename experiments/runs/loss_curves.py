"""How fast a run learned: its loss by samples and by time. Workers need not be at the same step at the same time."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.runs.run import Run

Floats: TypeAlias = NDArray[np.float64]

POINTS = 2000  # of a curve


def loss_curve(run: Run) -> tuple[Floats, Floats, Floats]:
    """Return (samples of the whole job, seconds, loss), each of shape (steps,); empty without records.

    Seconds run from the begin of the first step to the last worker's end of each step. The loss is the mean over the
    workers that trained in the step; NaN if one of theirs is not finite.
    """
    rows = [row for rows in run.worker_rows.values() for row in rows]
    if not rows:
        return np.empty(0), np.empty(0), np.empty(0)
    steps, place = np.unique([row.step for row in rows], return_inverse=True)
    ended = np.zeros(len(steps))
    np.maximum.at(ended, place, [row.ended for row in rows])
    began = min(row.began for row in rows if row.step == steps[0])
    trained = np.array([not row.skipped for row in rows])
    losses = np.array([row.loss for row in rows], np.float64)  # None becomes NaN
    with np.errstate(invalid="ignore"):  # a step that every worker skipped has no loss
        loss = np.bincount(place[trained], losses[trained], len(steps)) / np.bincount(place[trained], None, len(steps))
    # After the death of the slowest worker a step may end before the one before it. Time does not run backwards.
    return (steps + 1.0) * run.summary.batch, np.maximum.accumulate(ended) - began, loss


def loss_by_time(run: Run) -> tuple[Floats, Floats]:
    """Return (seconds, loss), each of shape (points,): the mean over the workers of their smoothed losses at a time.

    Seconds count from the first end of a first step. Before that, a worker counts with its first loss; after its last
    step, for the mean time of a step. Empty without records.
    """
    curves: list[tuple[Floats, Floats]] = []
    for rows in run.worker_rows.values():
        if known := [(row.ended, row.loss) for row in rows if row.loss is not None]:
            ended, loss = np.array(known, np.float64).T
            curves.append((np.maximum.accumulate(ended), smooth(loss)))
    if not curves:
        return np.empty(0), np.empty(0)
    moments = np.unique(np.concatenate([ended for ended, _ in curves]))
    if len(moments) > POINTS:
        moments = np.linspace(moments[0], moments[-1], POINTS)
    losses = []
    for ended, loss in curves:
        until = ended[-1] + (ended[-1] - ended[0]) / max(1, len(ended) - 1)  # workers that end together count together
        losses.append(np.where(moments <= until, np.interp(moments, ended, loss), np.nan))
    return moments - moments[0], np.nanmean(losses, axis=0)


def seconds_to_loss(run: Run, goal: float) -> float | None:
    """Return the seconds at which `loss_by_time` first is at or below `goal`; None if it never is."""
    seconds, loss = loss_by_time(run)
    reached = np.flatnonzero(loss <= goal)
    return float(seconds[reached[0]]) if reached.size else None


def common_loss(runs: Sequence[Run]) -> float | None:
    """Return the highest final loss of `runs`, rounded up to one significant digit; None if a run has no losses."""
    final = [loss[-1] for run in runs if (loss := loss_by_time(run)[1]).size]
    return rounded_up(float(max(final))) if final and len(final) == len(runs) else None


def rounded_up(value: float) -> float:
    """Return the value rounded up to one significant digit: 0.0532 becomes 0.06."""
    if value <= 0:
        return value
    digit = 10.0 ** math.floor(math.log10(value))
    return max(value, float(f"{math.ceil(value / digit) * digit:.0e}"))


def smooth(values: Floats) -> Floats:
    """Return the centred moving average over a twenty-fifth of the run. Values that are not finite are left out."""
    kernel, finite = np.ones(max(1, len(values) // 25)), np.isfinite(values)
    count = np.convolve(finite, kernel, "same")
    total = np.convolve(np.where(finite, values, 0.0), kernel, "same")
    return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)
