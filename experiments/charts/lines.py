"""Lines through medians, with every repeat as a dot and the prediction dashed; axes for sizes of a vector.

The points of lines are the rows of a frame with these columns:

    x, y                     place of the median
    dots                     each repeat
    predicted                the same by the cost model; this column may be missing
    hollow                   the marker is hollow and the line dashed; this column may be missing
    name                     of the line
    strategy, refused, twin  for its look (see `style.look`)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from experiments.charts.data import records
from experiments.charts.layout import End
from experiments.charts.style import INK, look
from experiments.format.units import human_bytes


def draw_lines(axes: Axes, points: pd.DataFrame, by: str = "label") -> list[End]:
    """Draw a line for each value of the column `by`; return the ends, for `name_ends` once the limits stand."""
    return [_line(axes, line) for _, line in points.groupby(by, sort=False)]


def _line(axes: Axes, line: pd.DataFrame) -> End:
    last: Any = line.iloc[-1]
    own = look(last)
    dashes = "--" if last.get("hollow") else own.dashes
    axes.plot(line["x"], line["y"], linestyle=dashes, color=own.colour, linewidth=1.8, zorder=3)
    for point in records(line):
        _point(axes, point)
    if "predicted" in line and len(known := line.dropna(subset="predicted")):
        ahead: dict[str, Any] = {"marker": "_", "ms": 12, "linewidth": 1.1, "alpha": 0.8, "zorder": 2}
        axes.plot(known["x"], known["predicted"], "--", color=own.colour, **ahead)
    return last.x, last.y, last["name"], own.ink


def _point(axes: Axes, point: Any) -> None:
    """The marker of a median, and its repeats."""
    own = look(point)
    if len(point.dots) > 1:
        axes.plot([point.x] * len(point.dots), point.dots, "o", color=own.colour, ms=3.5, mec=INK, mew=0.5, zorder=5)
    marker: dict[str, Any] = {"mec": "white", "mew": 0.7}
    if getattr(point, "hollow", False):
        marker = {"mfc": "white", "mec": own.colour, "mew": 1.6}
    axes.plot([point.x], [point.y], marker=own.marker, color=own.colour, ms=own.size, zorder=4, **marker)


def size_axes(axes: Axes, sizes: Sequence[int], tick: Callable[[int], str]) -> None:
    """Make both axes logarithmic, with ticks at these bytes."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
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


def ticks_in_sight(axes: Axes) -> None:
    """Add ticks between the powers of ten where the values span too little to have several of them."""
    low, high = axes.get_ylim()
    if high < 5 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    elif high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def thin_out(axes: Axes) -> None:
    """Hide the names of sizes that would run into the one at their right; their ticks stay. The axes are laid out."""
    left = math.inf
    for label in reversed(axes.get_xticklabels()):
        box = label.get_window_extent()
        if box.x1 + 4 > left:
            label.set_visible(False)
        else:
            left = box.x0
