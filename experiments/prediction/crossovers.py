"""Find the fastest strategy for each size: the sizes at which the curves of the formulas cross."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import Struct, structs

from experiments.format.units import human_bytes, human_seconds
from experiments.format.words import listed
from experiments.prediction.cost_model import Figures
from experiments.prediction.predict import formula_seconds, servers_of

STEPS = 24  # sizes that are tried in each factor of 16
SHARP = 1.002  # a crossover is known to this factor
EQUAL = 1e-6  # predictions that differ by a smaller part are equal: the strategy that is named first wins
LEVEL = 1.05  # a strategy that takes up to so many times the fastest stays the fastest: formulas are not more exact
Curves = Mapping[str, Callable[[int], float]]  # seconds by bytes, for each strategy


class FastestRange(Struct, frozen=True, rename={"low": "from_bytes", "high": "to_bytes", "level": "within_5_percent"}):
    """`strategy` is predicted to be the fastest from `low` to `high` bytes, or within 5 % of the strategies `level`."""

    strategy: str
    low: int
    high: int
    level: tuple[str, ...] = ()


def fastest_ranges(
    strategies: Sequence[str], workers: int, servers: int, low: int, high: int, figures: Figures
) -> list[FastestRange]:
    """Return which strategy is fastest, or within 5 % of it, from `low` to `high` bytes, by formula."""
    times = curves(strategies, workers, servers, figures)
    if not times:
        return []

    def fastest(nbytes: float) -> str:
        seconds = {name: time(round(nbytes)) for name, time in times.items()}
        least = min(seconds.values()) * (1 + EQUAL)
        return next(name for name, value in seconds.items() if value <= least)

    begins: list[tuple[float, str]] = [(low, fastest(low))]  # the size at which each range begins
    for left, right in pairwise(_sizes(low, high)):
        begin = left
        while fastest(right) != begins[-1][1]:
            begin = _crossover(fastest, begin, right)
            begins.append((begin, fastest(begin)))
    found: list[FastestRange] = []
    for (begin, strategy), (end, _) in pairwise([*begins, (high, "")]):
        sizes = list(map(round, _sizes(begin, end)))
        if found and all(times[found[-1].strategy](size) <= LEVEL * times[strategy](size) for size in sizes):
            level = dict.fromkeys((*found[-1].level, strategy))
            level.pop(found[-1].strategy, None)
            found[-1] = structs.replace(found[-1], high=round(end), level=tuple(level))
        else:
            found.append(FastestRange(strategy, round(begin), round(end)))
    return found


def _sizes(low: float, high: float) -> list[float]:
    """Return sizes from `low` to `high`, evenly spaced on a logarithmic axis."""
    return list(map(float, np.geomspace(low, high, max(2, math.ceil(STEPS * math.log(high / low, 16)) + 1))))


def _crossover(fastest: Callable[[float], str], low: float, high: float) -> float:
    """Return, by bisection, a size above `low` at which another strategy than the one at `low` is the fastest."""
    before = fastest(low)
    while high > low * SHARP:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fastest(middle) == before else (low, middle)
    return high


def curves(strategies: Sequence[str], workers: int, servers: int, figures: Figures) -> Curves:
    """Return the predicted seconds by bytes, for each strategy that has a formula."""
    every: dict[str, Callable[[int], Any]] = {
        name: partial(formula_seconds, name, {}, workers, servers_of(name, servers), figures=figures)
        for name in strategies
    }
    return {name: seconds for name, seconds in every.items() if seconds(1 << 20) is not None}


def sentence(
    strategies: Sequence[str], workers: int, servers: int, found: Sequence[FastestRange], figures: Figures
) -> str:
    """Return `64 workers: tree up to 182 KiB, then ring; …`, and how far the second is behind at the largest size."""
    if workers == 1:
        return "1 worker: nothing is exchanged"
    if not found:
        return f"{workers} workers: none of these strategies has a formula"
    *_, last = found
    nbytes, parts = human_bytes(last.high), []
    for one in found:
        until = f" up to {human_bytes(one.high)}" if one is not last else "" if len(found) > 1 else " at every size"
        parts.append(one.strategy + until + (f" ({listed(one.level)} within 5 %)" if one.level else ""))
    text = f"{workers} workers, {human_bytes(found[0].low)} to {nbytes}: {', then '.join(parts)}"
    times = {name: time(last.high) for name, time in curves(strategies, workers, servers, figures).items()}
    shortest = times.pop(last.strategy)
    if times and shortest:  # noop takes no time
        second = min(times, key=times.__getitem__)
        text += f"; at {nbytes} {last.strategy} takes {human_seconds(shortest)}, "
        text += f"{second} {times[second] / shortest:.2f} times as long"
    return text
