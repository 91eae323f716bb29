"""Medians, and how sure they are (Hoefler & Belli, SC'15: medians and intervals over repeats, not over steps)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

LEVEL = 0.95
RESAMPLES = 9999
SEED = 0  # the same samples give the same interval


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
    from scipy import stats

    found = stats.bootstrap(
        (np.asarray(samples),),
        np.median,
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=SEED,
    ).confidence_interval
    return float(found.low), float(found.high)
