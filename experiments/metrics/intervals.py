"""Confidence intervals of medians and their ratios. Samples are repeats, not steps (Hoefler & Belli, SC'15)."""

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

LEVEL = 0.95
SEED = 0  # the same samples give the same interval
# Added to what repeats show. Two equal programs differ in speed by this much, for reasons such as the place of their
# memory (Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009).
RESOLUTION = 0.02


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval. One sample shows no spread: then `low` = `middle` = `high`."""

    low: float
    middle: float
    high: float


def interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of the median (percentile method); None for one sample.

    Not BCa: the median of a few samples takes few values, and BCa is undefined if the jackknife finds no skew.
    """
    return _bootstrap((samples,), np.median) if len(samples) > 1 else None


def median_interval(samples: Sequence[float]) -> Interval:
    """Return the median of positive samples with the hull of two intervals, as `ratio_interval` does."""
    middle = median(samples)
    if len(samples) < 2:
        return Interval(middle, middle, middle)
    from scipy import stats

    low, high = _bootstrap((samples,), np.median)
    least, most = _student(stats.ttest_1samp, np.log(samples), 0.0)
    return Interval(min(low, least), middle, max(high, most))


def ratio_interval(samples: Sequence[float], base: Sequence[float]) -> Interval:
    """Return the median of `samples` over that of `base`, all positive, with its interval.

    It has no width if either has one sample. Else it is the hull of the bootstrap's interval and of Welch's t on the
    logarithms, widened by RESOLUTION on both sides. The percentile bootstrap alone is too narrow for three to five
    repeats, because it cannot leave the range of the samples (Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69(4), 2015).
    """
    middle = median(samples) / median(base)
    if min(len(samples), len(base)) < 2:
        return Interval(middle, middle, middle)
    from scipy import stats

    low, high = _bootstrap((samples, base), lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis))
    least, most = _student(stats.ttest_ind, np.log(samples), np.log(base), equal_var=False)
    return Interval(min(low, least) * (1 - RESOLUTION), middle, max(high, most) * (1 + RESOLUTION))


def load() -> None:
    """Import scipy.stats, which takes a second: better spent before a benchmark than during it."""
    importlib.import_module("scipy.stats")


def _bootstrap(samples: tuple[Sequence[float], ...], statistic: Any) -> tuple[float, float]:
    from scipy import stats

    found = stats.bootstrap(samples, statistic, confidence_level=LEVEL, method="percentile", random_state=SEED)
    low, high = found.confidence_interval
    return float(low), float(high)


def _student(test: Any, *samples: Any, **options: Any) -> tuple[float, float]:
    """Return the interval that a t-test of logarithms gives, as factors. It has no width if the samples are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal samples have no variance to divide by
        found = test(*samples, **options).confidence_interval(LEVEL)
    low, high = np.exp(np.clip(found, -300, 300))  # two samples far apart say little; the figure stays finite
    return float(low), float(high)
