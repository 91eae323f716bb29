"""Which strategy is the fastest, from which size on: where the formulas' curves cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from experiments.format.units import human_bytes, human_seconds
from experiments.format.words import listed
from experiments.prediction.batch import servers_of
from experiments.prediction.cost_model import Figures
from experiments.prediction.predict import predicted_exchange_seconds

STEPS = 24  # sizes looked at in each factor of 16
SHARP = 1.002  # a crossover is known to this factor
EQUAL = 1e-6  # predictions that differ by less are equal: the first one named wins
LEVEL = 1.05  # times the fastest: up to there, who fastest_ranges goes on to; formulas are no better than that


@dataclass(frozen=True, slots=True)
class FastestRange:
    """`strategy` is predicted to be the fastest of all from `low` to `high` bytes, or within 5 % of those `level`."""

    strategy: str
    low: float
    high: float
    level: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        span = {"from_bytes": round(self.low), "to_bytes": round(self.high)}
        return {"strategy": self.strategy, **span, "within_5_percent": list(self.level)}


def fastest_ranges(
    strategies: Sequence[str], workers: int, servers: int, low: int, high: int, figures: Figures
) -> list[FastestRange]:
    """Who is the fastest by formula at each size from `low` to `high` bytes, in order; empty if none has a formula.

    Somebody who is the fastest for a while, but never by more than 5 % of who was it before, ends no reign.
    """
    times = curves(strategies, workers, servers, figures)
    if not times:
        return []

    def fastest(nbytes: float) -> str:
        seconds = {name: time(round(nbytes)) for name, time in times.items()}
        least = min(seconds.values()) * (1 + EQUAL)
        return next(name for name, value in seconds.items() if value <= least)

    count = max(2, math.ceil(STEPS * math.log(high / low, 16)) + 1) if high > low else 1
    grid = [low * (high / low) ** (i / max(1, count - 1)) for i in range(count)]
    found = [FastestRange(fastest(low), low, low)]
    for left, right in pairwise(grid):
        _between(fastest, left, right, found)
    return _merged([*found[:-1], FastestRange(found[-1].strategy, found[-1].low, high)], times)


def _merged(found: Sequence[FastestRange], times: Mapping[str, Callable[[int], float]]) -> list[FastestRange]:
    """The same without those during which the one before stays within LEVEL of the fastest, where it is looked at."""
    merged = [found[0]]
    for reign in found[1:]:
        last = merged[-1]
        count = max(2, math.ceil(STEPS * math.log(reign.high / reign.low, 16)) + 1)
        sizes = [round(reign.low * (reign.high / reign.low) ** (i / (count - 1))) for i in range(count)]
        if any(times[last.strategy](size) > LEVEL * times[reign.strategy](size) for size in sizes):
            merged.append(reign)
        else:
            level = dict.fromkeys([*last.level, *([reign.strategy] if reign.strategy != last.strategy else [])])
            merged[-1] = FastestRange(last.strategy, last.low, reign.high, tuple(level))
    return merged


def _between(fastest: Callable[[float], str], left: float, right: float, found: list[FastestRange]) -> None:
    """Add to `found` those who take over between two sizes."""
    while fastest(right) != found[-1].strategy:
        low, high = left, right
        while high > low * SHARP:
            middle = math.sqrt(low * high)
            if fastest(middle) == found[-1].strategy:
                low = middle
            else:
                high = middle
        last = found.pop()
        found += [FastestRange(last.strategy, last.low, high), FastestRange(fastest(high), high, high)]
        left = high


def curves(
    strategies: Sequence[str], workers: int, servers: int, figures: Figures
) -> dict[str, Callable[[int], float]]:
    """For each strategy that has a formula, seconds by bytes."""

    def curve(name: str) -> Callable[[int], float | None]:
        own = servers_of(name, servers)
        return lambda nbytes: predicted_exchange_seconds(name, {}, workers, own, nbytes, figures).formula

    made = {name: curve(name) for name in strategies}
    return {name: time for name, time in made.items() if time(1 << 20) is not None}  # type: ignore[misc]


def sentence(
    strategies: Sequence[str], workers: int, servers: int, found: Sequence[FastestRange], figures: Figures
) -> str:
    """`64 workers: tree up to 182 KiB, then ring; …`, with how far the slowest is behind at the end."""
    if workers == 1:
        return "1 worker: nothing is exchanged"
    if not found:
        return f"{workers} workers: none of these strategies has a formula"
    last, span = found[-1], f"{human_bytes(found[0].low)} to {human_bytes(found[-1].high)}"
    parts = [f"{reign.strategy} up to {human_bytes(reign.high)}{_level(reign)}" for reign in found[:-1]]
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


def _level(reign: FastestRange) -> str:
    return f" ({listed(reign.level)} within 5 %)" if reign.level else ""
