"""How fast a run learned: its loss against time, and when it got down to a given one.

Where workers do not wait for each other they are at different steps at the same time; so losses are averaged over the
workers by the time, not by the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.runs.run import Run
from experiments.schema.records import StepRow

POINTS = 2000  # of a curve


def loss_by_time(run: Run) -> tuple[Floats, Floats]:
    """(seconds, loss), each of shape (points,): mean over the workers of their smoothed losses at that time.

    Seconds count from the first end of a first step, which pays for what is only done once. A worker that has not
    ended its first step counts with that one's loss; one that has ended its last counts for the time of a step more,
    and then no longer, since the parameters go on without it. Empty where nothing was recorded.
    """
    curves = [curve for rows in run.worker_rows.values() if (curve := _curve(rows)) is not None]
    if not curves:
        return np.empty(0), np.empty(0)
    began, ended = min(at[0] for at, _ in curves), max(at[-1] for at, _ in curves)
    moments = np.unique(np.concatenate([at for at, _ in curves]))
    if len(moments) > POINTS:
        moments = np.linspace(began, ended, POINTS)
    losses = [np.where(moments <= _until(at), np.interp(moments, at, loss), np.nan) for at, loss in curves]
    return moments - began, np.nanmean(losses, axis=0)


def _until(ended: Floats) -> float:
    """The last end, and the mean time of a step after it: so workers that end together count together."""
    return float(ended[-1] + (ended[-1] - ended[0]) / max(1, len(ended) - 1))


def _curve(rows: Sequence[StepRow]) -> tuple[Floats, Floats] | None:
    """A worker's (moment, smoothed loss) of each step that it trained in."""
    known = [(row.ended, row.loss) for row in rows if row.loss is not None]
    if not known:
        return None
    ended, loss = np.array(known, np.float64).T
    return np.maximum.accumulate(ended), smooth(loss)


def seconds_to_loss(run: Run, goal: float) -> float | None:
    """When `loss_by_time` first is at or below `goal`; None if it never is."""
    seconds, loss = loss_by_time(run)
    reached = np.flatnonzero(loss <= goal)
    return float(seconds[reached[0]]) if reached.size else None


def common_loss(runs: Sequence[Run]) -> float | None:
    """A loss that all `runs` reached: the highest of those they ended with, rounded up to one significant digit.

    Rounded, as where exactly the worst one ended is noise, and it alone would need all of its time to get there.
    None if one recorded none.
    """
    final = [float(loss[-1]) if (loss := loss_by_time(run)[1]).size else None for run in runs]
    known = [loss for loss in final if loss is not None]
    return rounded_up(max(known)) if known and len(known) == len(runs) else None


def rounded_up(value: float) -> float:
    """To one significant digit: 0.0532 to 0.06."""
    if value <= 0:
        return value
    digit = 10.0 ** math.floor(math.log10(value))
    return max(value, float(f"{math.ceil(value / digit) * digit:.0e}"))


Floats: TypeAlias = NDArray[np.float64]


def loss_curve(run: Run) -> tuple[Floats, Floats, Floats]:
    """(samples, seconds, loss), one value a step, each of shape (steps,).

    `loss` is the mean over the workers that recorded the step, `samples` counts the whole job's, and `seconds` run
    from the begin of the first step to when the last of those workers ended this one. Empty where nothing was
    recorded.
    """
    steps: dict[int, list[StepRow]] = {}
    for rows in run.worker_rows.values():
        for row in rows:
            steps.setdefault(row.step, []).append(row)
    if not steps:
        return np.empty(0), np.empty(0), np.empty(0)
    order = sorted(steps)
    began = min(row.began for row in steps[order[0]])
    loss = [_mean_loss(steps[step]) for step in order]
    ended = [max(row.ended for row in steps[step]) - began for step in order]
    samples = (np.array(order, dtype=np.float64) + 1) * run.summary.batch
    # A worker that died leaves later steps to the others; the clock of the job still does not run backwards.
    return samples, np.maximum.accumulate(np.array(ended, dtype=np.float64)), np.array(loss, dtype=np.float64)


def _mean_loss(rows: Sequence[StepRow]) -> float:
    """Over the workers that trained; NaN if one of them has no finite loss, or all skipped the step."""
    trained = [math.nan if row.loss is None else row.loss for row in rows if not row.skipped]
    return math.fsum(trained) / len(trained) if trained else math.nan


def smooth(values: Floats) -> Floats:
    """A centred moving average over a twenty-fifth of the run; values that are not finite are left out."""
    kernel, good = np.ones(max(1, len(values) // 25)), np.isfinite(values)
    count = np.convolve(good, kernel, "same")
    total = np.convolve(np.where(good, values, 0.0), kernel, "same")
    return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)
