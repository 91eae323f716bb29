"""Find the fastest strategy for each size: the sizes at which the curves of the formulas cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import Struct, structs

from experiments.format.units import human_bytes, human_seconds
from experiments.format.words import listed
from experiments.prediction.batch import servers_of
from experiments.prediction.cost_model import Figures
from experiments.prediction.predict import predicted_exchange_seconds

STEPS = 24  # sizes that are tried in each factor of 16
SHARP = 1.002  # a crossover is known to this factor
EQUAL = 1e-6  # predictions that differ by a smaller part are equal: the strategy that is named first wins
LEVEL = 1.05  # times the fastest: up to there a strategy stays the fastest, since formulas are no better than that
Curves = Mapping[str, Callable[[int], float]]  # seconds by bytes, for each strategy


class FastestRange(Struct, frozen=True):
    """`strategy` is predicted to be the fastest from `low` to `high` bytes, or within 5 % of the strategies `level`."""

    strategy: str
    low: float
    high: float
    level: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the range as JSON values."""
        span = {"from_bytes": round(self.low), "to_bytes": round(self.high)}
        return {"strategy": self.strategy, **span, "within_5_percent": list(self.level)}


def fastest_ranges(
    strategies: Sequence[str], workers: int, servers: int, low: int, high: int, figures: Figures
) -> list[FastestRange]:
    """Return the fastest strategy by formula for each size from `low` to `high` bytes; empty if none has a formula.

    A strategy stays the fastest while it is within 5 % of the fastest.
    """
    times = curves(strategies, workers, servers, figures)
    if not times:
        return []

    def fastest(nbytes: float) -> str:
        seconds = {name: time(round(nbytes)) for name, time in times.items()}
        least = min(seconds.values()) * (1 + EQUAL)
        return next(name for name, value in seconds.items() if value <= least)

    found = [FastestRange(fastest(low), low, low)]
    for left, right in pairwise(_sizes(low, high)):
        _find_crossovers(fastest, left, right, found)
    found[-1] = structs.replace(found[-1], high=high)
    return _merged(found, times)


def _sizes(low: float, high: float) -> list[float]:
    """Return sizes from `low` to `high`, evenly spaced on a logarithmic axis."""
    if high <= low:
        return [low]
    return [float(size) for size in np.geomspace(low, high, max(2, math.ceil(STEPS * math.log(high / low, 16)) + 1))]


def _merged(found: Sequence[FastestRange], times: Curves) -> list[FastestRange]:
    """Merge a range into the one before it if the strategy of that one stays within LEVEL of the fastest."""
    merged = [found[0]]
    for one in found[1:]:
        last = merged[-1]
        sizes = [round(size) for size in _sizes(one.low, one.high)]
        if any(times[last.strategy](size) > LEVEL * times[one.strategy](size) for size in sizes):
            merged.append(one)
        else:
            level = dict.fromkeys([*last.level, *([one.strategy] if one.strategy != last.strategy else [])])
            merged[-1] = FastestRange(last.strategy, last.low, one.high, tuple(level))
    return merged


def _find_crossovers(fastest: Callable[[float], str], left: float, right: float, found: list[FastestRange]) -> None:
    """Add to `found` the strategies that become the fastest between two sizes, by bisection."""
    while fastest(right) != found[-1].strategy:
        low, high = left, right
        while high > low * SHARP:
            middle = math.sqrt(low * high)
            if fastest(middle) == found[-1].strategy:
                low = middle
            else:
                high = middle
        found[-1] = structs.replace(found[-1], high=high)
        found.append(FastestRange(fastest(high), high, high))
        left = high


def curves(strategies: Sequence[str], workers: int, servers: int, figures: Figures) -> Curves:
    """Return the predicted seconds by bytes, for each strategy that has a formula."""

    def curve(name: str) -> Callable[[int], float | None]:
        own = servers_of(name, servers)
        return lambda nbytes: predicted_exchange_seconds(name, {}, workers, own, nbytes, figures).formula

    made = {name: curve(name) for name in strategies}
    return {name: time for name, time in made.items() if time(1 << 20) is not None}  # type: ignore[misc]


def sentence(
    strategies: Sequence[str], workers: int, servers: int, found: Sequence[FastestRange], figures: Figures
) -> str:
    """Return `64 workers: tree up to 182 KiB, then ring; …`, and how far the second is behind at the largest size."""
    if workers == 1:
        return "1 worker: nothing is exchanged"
    if not found:
        return f"{workers} workers: none of these strategies has a formula"
    last, span = found[-1], f"{human_bytes(found[0].low)} to {human_bytes(found[-1].high)}"
    parts = [f"{one.strategy} up to {human_bytes(one.high)}{_level(one)}" for one in found[:-1]]
    every = " at every size" if len(found) == 1 else ""
    text = ", then ".join([*parts, last.strategy]) + every + _level(last)
    nbytes = round(last.high)
    times = {name: time(nbytes) for name, time in curves(strategies, workers, servers, figures).items()}
    others = {name: seconds for name, seconds in times.items() if name != last.strategy}
    if others and times[last.strategy]:  # noop takes no time
        second = min(others, key=others.__getitem__)
        text += (
            f"; at {human_bytes(nbytes)} {last.strategy} takes {human_seconds(times[last.strategy])}, "
            f"{second} {others[second] / times[last.strategy]:.2f} times as long"
        )
    return f"{workers} workers, {span}: {text}"


def _level(one: FastestRange) -> str:
    return f" ({listed(one.level)} within 5 %)" if one.level else ""
