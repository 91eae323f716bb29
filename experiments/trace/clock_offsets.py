"""How far the ranks' clocks are apart, estimated from the messages that went both ways.

A message that leaves by clock a at time s and is there by clock b at time r has been under way for
r - s - (offset of b - offset of a) seconds, which is not negative. So the least r - s over all messages from a to b,
d(a, b), bounds the difference of the offsets from above, and -d(b, a) from below. Halfway between is the estimate of
Cristian (1989), which NTP uses; it errs by half the difference of the two least delays, and at most by half the sum.

With several clocks the bounds of detours are bounds as well (shortest paths), and an estimate within all bounds exists
as long as no clock runs faster than another: then no message arrives before it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Offsets:
    """By clock, in seconds: how far it is ahead of the first, and by how much this may be wrong at most."""

    ahead: Floats
    uncertainty: Floats


def least_delays(clocks: int, senders: Sequence[int], receivers: Sequence[int], delays: Floats) -> Floats:
    """Of messages between clocks, the least delay for each ordered pair, shape (clocks, clocks); inf without one.

    `senders` and `receivers` are the clocks of each message, `delays` when it was there less when it left, in seconds.
    """
    least = np.full((clocks, clocks), np.inf)
    np.minimum.at(least, (np.asarray(senders, int), np.asarray(receivers, int)), delays)
    np.fill_diagonal(least, 0.0)
    return least


def estimate(least: Floats) -> Offsets:
    """The offsets, from the least delay of each ordered pair of clocks, shape (clocks, clocks), inf where unknown.

    A clock that is bounded on one side only is taken to be right if it can be; one that is not bounded is, too.
    """
    bound = least.copy()
    for via in range(len(bound)):
        np.minimum(bound, bound[:, via, None] + bound[None, via, :], out=bound)
    ahead, uncertainty = np.zeros(len(bound)), np.zeros(len(bound))
    for clock in range(1, len(bound)):
        known = slice(0, clock)
        high = float((ahead[known] + bound[known, clock]).min())
        low = float((ahead[known] - bound[clock, known]).max())
        if np.isfinite(high) and np.isfinite(low):
            ahead[clock] = (low + high) / 2
        else:
            ahead[clock] = min(max(0.0, low), high)
        uncertainty[clock] = (high - low) / 2
    return Offsets(ahead, uncertainty)
