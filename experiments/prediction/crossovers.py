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
LEVEL = 1.05  # times the fastest: up to there a strategy stays the fastest, since formulas are no better than that
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
    merged: list[FastestRange] = []
    for (begin, strategy), (end, _) in pairwise([*begins, (high, "")]):
        last = merged[-1] if merged else FastestRange(strategy, round(begin), round(end))
        seconds, least = times[last.strategy], times[strategy]
        if not merged or any(seconds(size) > LEVEL * least(size) for size in map(round, _sizes(begin, end))):
            merged.append(FastestRange(strategy, round(begin), round(end)))
        else:
            level = dict.fromkeys(name for name in (*last.level, strategy) if name != last.strategy)
            merged[-1] = structs.replace(last, high=round(end), level=tuple(level))
    return merged


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
    own_servers = {name: servers_of(name, servers) for name in strategies}

    def seconds(name: str, nbytes: int) -> Any:
        return formula_seconds(name, {}, workers, own_servers[name], nbytes, figures)

    return {name: partial(seconds, name) for name in strategies if seconds(name, 1 << 20) is not None}


def sentence(
    strategies: Sequence[str], workers: int, servers: int, found: Sequence[FastestRange], figures: Figures
) -> str:
    """Return `64 workers: tree up to 182 KiB, then ring; …`, and how far the second is behind at the largest size."""
    if workers == 1:
        return "1 worker: nothing is exchanged"
    if not found:
        return f"{workers} workers: none of these strategies has a formula"
    last, span = found[-1], f"{human_bytes(found[0].low)} to {human_bytes(found[-1].high)}"
    parts = []
    for one in found:
        alone = " at every size" if len(found) == 1 else ""
        until = alone if one is last else f" up to {human_bytes(one.high)}"
        level = f" ({listed(one.level)} within 5 %)" if one.level else ""
        parts.append(one.strategy + until + level)
    text = ", then ".join(parts)
    nbytes = last.high
    times = {name: time(nbytes) for name, time in curves(strategies, workers, servers, figures).items()}
    others = {name: seconds for name, seconds in times.items() if name != last.strategy}
    if others and times[last.strategy]:  # noop takes no time
        second = min(others, key=others.__getitem__)
        text += (
            f"; at {human_bytes(nbytes)} {last.strategy} takes {human_seconds(times[last.strategy])}, "
            f"{second} {others[second] / times[last.strategy]:.2f} times as long"
        )
    return f"{workers} workers, {span}: {text}"
