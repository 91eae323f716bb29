"""Which strategy is the fastest, from which size on: where the formulas' curves cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from experiments.prediction.figures import Figures
from experiments.prediction.grid import servers_of
from experiments.prediction.predict import predicted_exchange_seconds
from experiments.units import human_bytes, human_seconds

STEPS = 24  # sizes looked at in each factor of 16
SHARP = 1.002  # a crossover is known to this factor
EQUAL = 1e-6  # predictions that differ by less are equal: the first one named wins


@dataclass(frozen=True, slots=True)
class Reign:
    """`strategy` is predicted to be the fastest of all from `low` to `high` bytes."""

    strategy: str
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"strategy": self.strategy, "from_bytes": round(self.low), "to_bytes": round(self.high)}


def reigns(strategies: Sequence[str], workers: int, servers: int, low: int, high: int, figures: Figures) -> list[Reign]:
    """Who is the fastest by formula at each size from `low` to `high` bytes, in order; empty if none has a formula."""
    times = curves(strategies, workers, servers, figures)
    if not times:
        return []

    def fastest(nbytes: float) -> str:
        seconds = {name: time(round(nbytes)) for name, time in times.items()}
        least = min(seconds.values()) * (1 + EQUAL)
        return next(name for name, value in seconds.items() if value <= least)

    count = max(2, math.ceil(STEPS * math.log(high / low, 16)) + 1) if high > low else 1
    grid = [low * (high / low) ** (i / max(1, count - 1)) for i in range(count)]
    found = [Reign(fastest(low), low, low)]
    for left, right in pairwise(grid):
        _between(fastest, left, right, found)
    return [*found[:-1], Reign(found[-1].strategy, found[-1].low, high)]


def _between(fastest: Callable[[float], str], left: float, right: float, found: list[Reign]) -> None:
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
        found += [Reign(last.strategy, last.low, high), Reign(fastest(high), high, high)]
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


def sentence(strategies: Sequence[str], workers: int, servers: int, found: Sequence[Reign], figures: Figures) -> str:
    """`64 workers: tree up to 182 KiB, then ring; …`, with how far the slowest is behind at the end."""
    if workers == 1:
        return "1 worker: nothing is exchanged"
    if not found:
        return f"{workers} workers: none of these strategies has a formula"
    parts = [f"{found[0].strategy} up to {human_bytes(found[0].high)}"] if len(found) > 1 else []
    parts += [f"{reign.strategy} up to {human_bytes(reign.high)}" for reign in found[1:-1]]
    last, span = found[-1], f"{human_bytes(found[0].low)} to {human_bytes(found[-1].high)}"
    text = ", then ".join([*parts, last.strategy])
    text += " at every size" if len(found) == 1 else ""
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
