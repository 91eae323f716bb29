"""Something against the bytes of a vector, both logarithmic: dots, a line through the medians, the prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from experiments.charts.layout import name_ends
from experiments.charts.style import INK, Marker, size
from experiments.format.units import human_bytes


@dataclass(frozen=True)
class Point:
    """What was measured at a size: every repeat, their median, and what was predicted, if anything was."""

    size: int
    values: Sequence[float]
    middle: float
    predicted: float | None = None


@dataclass(frozen=True)
class Curve:
    """One contestant, by size."""

    name: str
    colour: str
    marker: Marker
    points: Sequence[Point]
    dashes: Any = "-"
    ink: str | None = None  # of its name, if not its colour


def draw_curves(axes: Axes, curves: Sequence[Curve], sizes: Sequence[int], tick: Callable[[int], str]) -> None:
    """Draw them and give the axes their ticks; `name_curves` follows when all axes that share a scale are drawn."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for curve in curves:
        _curve(axes, curve)
    axes.set_xticks(list(sizes), list(map(tick, sizes)), fontsize=9)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    span = math.log2(sizes[-1] / sizes[0]) or 1.0
    axes.set_xlim(sizes[0] / 2 ** (0.05 * span), sizes[-1] * 2 ** (0.05 * span))
    axes.margins(y=0.08)


def size_tick(size: int) -> str:
    """`4 KiB`, `1.2 MiB`, as short as it is true to three digits."""
    return human_bytes(size).replace(".0 ", " ")


def _curve(axes: Axes, curve: Curve) -> None:
    sizes = [point.size for point in curve.points]
    for point in curve.points:
        look: dict[str, Any] = {"color": curve.colour, "ms": 3.5, "mec": INK, "mew": 0.5, "zorder": 5}
        axes.plot([point.size] * len(point.values), point.values, "o", **look)
    middles = [point.middle for point in curve.points]
    axes.plot(sizes, middles, linestyle=curve.dashes, color=curve.colour, linewidth=1.8, zorder=4)
    axes.plot(
        sizes,
        middles,
        linestyle="",
        color=curve.colour,
        marker=curve.marker,
        ms=size(curve.marker),
        mec="white",
        zorder=4.5,
    )
    known = [(point.size, point.predicted) for point in curve.points if point.predicted]
    if known:
        axes.plot(*zip(*known, strict=True), "--", color=curve.colour, linewidth=1.1, alpha=0.75, zorder=2)


def name_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    """Name each at its right end; the limits of the axes stand."""
    ends = [(c.points[-1].size, c.points[-1].middle, c.name, c.ink or c.colour) for c in curves if c.points]
    name_ends(axes, [(float(size), middle, name, ink) for size, middle, name, ink in ends])


def ticks_in_sight(axes: Axes) -> None:
    """Ticks between the powers of ten where the values span too little to have several of those."""
    low, high = axes.get_ylim()
    if high < 5 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    elif high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def thin_out(axes: Axes) -> None:
    """Hide the names of sizes that would run into the one at their right; their ticks stay. Of axes laid out."""
    left = math.inf
    for label in reversed(axes.get_xticklabels()):
        box = label.get_window_extent()
        if box.x1 + 4 > left:
            label.set_visible(False)
        else:
            left = box.x0
