"""How far the ranks' clocks are apart, estimated from the messages that went both ways.

A message that leaves by clock a at s and arrives by clock b at r travelled for r - s - (offset of b - offset of a)
seconds, at least 0. So d(a, b), the least r - s over all messages from a to b, bounds the difference of the offsets
from above, and -d(b, a) bounds it from below. The middle is the estimate of Cristian (1989), as in NTP; it errs by half
the difference of the two least delays. Bounds along a detour over other clocks are bounds, too (shortest paths).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Offsets:
    """By clock, in seconds: how far it is ahead of the first clock, and the largest error of that."""

    ahead: Floats
    uncertainty: Floats


def least_delays(clocks: int, senders: Sequence[int], receivers: Sequence[int], delays: Floats) -> Floats:
    """Return the least arrival minus departure, in seconds, for each pair of clocks, shape (clocks, clocks); or inf."""
    least = np.full((clocks, clocks), np.inf)
    np.minimum.at(least, (np.asarray(senders, int), np.asarray(receivers, int)), delays)
    np.fill_diagonal(least, 0.0)
    return least


def estimate(least: Floats) -> Offsets:
    """Return the offsets for the least delays, shape (clocks, clocks). Without two bounds, an offset stays near 0."""
    bound = least.copy()
    for via in range(len(bound)):
        np.minimum(bound, bound[:, via, None] + bound[None, via, :], out=bound)
    ahead, uncertainty = np.zeros(len(bound)), np.zeros(len(bound))
    for clock in range(1, len(bound)):
        known = slice(0, clock)
        high = float((ahead[known] + bound[known, clock]).min())
        low = float((ahead[known] - bound[clock, known]).max())
        both = np.isfinite(high) and np.isfinite(low)
        ahead[clock] = (low + high) / 2 if both else min(max(0.0, low), high)
        uncertainty[clock] = (high - low) / 2
    return Offsets(ahead, uncertainty)
