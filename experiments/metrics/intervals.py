"""Medians, and how sure they are (Hoefler & Belli, SC'15: medians and intervals over repeats, not over steps)."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 9999
SEED = 0  # the same samples give the same interval
# On top of what repeats show: what is part of neither program, such as where memory happens to lie, changes speed by
# this much between equal ones, and stays the same over repeats made in a row (Mytkowicz et al., "Producing wrong data
# without doing anything obviously wrong!", ASPLOS 2009).
RESOLUTION = 0.02


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval; `low` = `middle` = `high` where there is one sample, which shows no spread."""

    low: float
    middle: float
    high: float


def median(samples: Sequence[float]) -> float:
    """The median of at least one sample."""
    return statistics.median(samples)


def interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the median (percentile method). None for one sample, which shows no spread.

    Percentiles and not BCa: the median of a handful of samples takes few values, and BCa's correction is undefined
    when the jackknife finds no skew.
    """
    if len(samples) < 2:
        return None
    import numpy as np

    return _percentiles((np.asarray(samples),), np.median)


def median_interval(samples: Sequence[float]) -> Interval:
    """The median of at least one positive sample, with an interval that is honest for few of them.

    See `ratio_interval`: the hull of the bootstrap's interval and of Student's t on the logarithms.
    """
    middle = median(samples)
    found = interval(samples)
    if found is None:
        return Interval(middle, middle, middle)
    import numpy as np

    logs = np.log(np.asarray(samples))
    low, high = _student(float(logs.mean()), float(logs.var(ddof=1)) / len(logs), len(logs) - 1)
    return Interval(min(found[0], low), middle, max(found[1], high))


def ratio_interval(samples: Sequence[float], base: Sequence[float]) -> Interval:
    """The median of `samples` over that of `base`, both positive, with its interval; no width if one has one sample.

    The hull of two intervals, since with three to five repeats the percentile bootstrap alone is too narrow
    (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69(4), 2015): it cannot
    leave the range of the samples, and three of one kind all lie above three others of that kind one time in twenty,
    or all below. The second interval is Welch's t of the logarithms, which knows how little a few samples say of their
    spread. Then RESOLUTION is added on both sides.
    """
    middle = median(samples) / median(base)
    if min(len(samples), len(base)) < 2:
        return Interval(middle, middle, middle)
    import numpy as np

    first, second = np.asarray(samples), np.asarray(base)
    low, high = _percentiles((first, second), lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis))
    least, most = _welch(np.log(first), np.log(second))
    return Interval(min(low, least) * (1 - RESOLUTION), middle, max(high, most) * (1 + RESOLUTION))


def load() -> None:
    """Import what intervals are made with: a second of computing, which is better spent before something goes wrong."""
    importlib.import_module("scipy.stats")


def _percentiles(samples: tuple[NDArray[np.float64], ...], statistic: Any) -> tuple[float, float]:
    from scipy import stats

    found = stats.bootstrap(
        samples,
        statistic,
        vectorized=True,
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=SEED,
    ).confidence_interval
    return float(found.low), float(found.high)


def _welch(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """The interval of exp(mean a − mean b); of no width where neither varies."""
    first, second = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    total = first + second
    freedom = total**2 / (first**2 / (len(a) - 1) + second**2 / (len(b) - 1)) if total else 1.0
    return _student(float(a.mean() - b.mean()), total, freedom)


def _student(mean: float, variance: float, freedom: float) -> tuple[float, float]:
    """The interval of exp(mean), from the variance of that mean."""
    import numpy as np
    from scipy import stats

    half = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * variance**0.5
    # Two samples that are far apart say next to nothing; the figure must still be one.
    low, high = np.exp(np.clip([mean - half, mean + half], -300, 300))
    return float(low), float(high)
