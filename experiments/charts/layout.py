"""The parts of a slide-sized chart: a sentence on top, the conditions below it, bars or lines, notes at the foot.

The points of lines are the rows of a frame. Its columns are `x` and `y` (the median), `dots` (each repeat), `name`, and
those of `style.look`; it may have `predicted`, and `hollow` for hollow markers on a dashed line.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator

from experiments.charts.style import ALARM, FAINT, INK, SIZE, look, records
from experiments.format.units import human_bytes, human_seconds

FOOT, FOOT_WIDTH = 8, 132  # points, and the letters of a line
LINE = 0.036  # of the foot, as a share of the height
ACROSS = 4  # panels in a row, at most
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # behind a text

Tick = str | Callable[[float, float], str]  # how to format a value on an axis
End = tuple[float, float, str, str]  # x and y of the last point of a line, its name and colour


def blank(wide: float = 1.0, high: float = 1.0) -> Figure:
    """A white slide, or one that is so many times as wide and as high."""
    figure = Figure(figsize=(wide * SIZE[0], high * SIZE[1]), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def slide() -> tuple[Figure, Axes]:
    """A white slide with one pair of axes."""
    figure = blank()
    return figure, figure.subplots()


def frame(figure: Figure, title: str, below: str, footer: Sequence[tuple[str, str]]) -> None:
    """Put `title` and, smaller, `below` over what was drawn, and texts with their colours under it; lay it all out."""
    y = _head(figure, 0.97, title, 15.0, 11.5, fontweight="bold", linespacing=1.1)
    top = _head(figure, y - 0.018, below, 10.0, 8.5, color=FAINT) - 0.01
    wide = figure.get_figwidth() / SIZE[0]
    lines = [(line, colour) for text, colour in footer for line in wrap(text, int(wide * FOOT_WIDTH))]
    for row, (line, colour) in enumerate(reversed(lines)):
        _fit(figure, figure.text(0.02, 0.018 + LINE * row, line, color=colour), FOOT)
    bottom = 0.03 + LINE * len(lines)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0.012, bottom, 0.976, top - bottom)))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all formats show the same picture
    for axes in figure.axes:  # the solver's last digits vary, and the ids in an SVG file depend on them
        left, low, wide, high = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(low, 6), round(wide, 6), round(high, 6)), which="original")


def _head(figure: Figure, y: float, words: str, size: float, least: float, **style: Any) -> float:
    """Put words at `y`, in two lines where one would need less than `least` points; return where they end."""
    text = figure.text(0.02, y, words, va="top", **style)
    if _fit(figure, text, size) < least:
        text.set_text("\n".join(wrap(words, len(words) // 2 + 8, break_on_hyphens=False)))
        _fit(figure, text, size)
    return float(text.get_window_extent().y0 / figure.bbox.height)


def _fit(figure: Figure, text: Text, size: float) -> float:
    """Make a text of `size` points smaller where it is wider than its figure; return the points that it has now."""
    text.set_fontsize(size)
    text.set_fontsize(size * min(1.0, 0.96 * figure.bbox.width / text.get_window_extent().width))
    return float(text.get_fontsize())


def wrapped(label: str, width: int = 24) -> str:
    """A label in lines of `width` letters, three at most: of a longer one the middle is left out, ends tell more."""
    lines = wrap(label, width, break_on_hyphens=False)
    return "\n".join([*lines[:2], "…" + label[1 - width :]] if len(lines) > 3 else lines)


def bands(axes: Axes, labels: Iterable[str]) -> None:
    """One horizontal band for each label, the first on top, with the label at the left."""
    names = list(labels)
    size = 10.5 if len(names) <= 10 else 8.5
    axes.set_yticks(range(len(names)), [wrapped(name) for name in names], color=INK, fontsize=size, linespacing=0.95)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def bar_end(axes: Axes, y: int, end: float, repeats: Sequence[float], text: str, alarm: bool) -> float:
    """Put a dot for each repeat on a bar that ends at `end`, and a text on white beside it; return where it begins."""
    if len(repeats) > 1:
        axes.plot(repeats, [y] * len(repeats), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)
    last = float(np.nanmax([end, *repeats]))
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": 9.5, "color": ALARM if alarm else INK, "bbox": WHITE}
    axes.annotate(text, (last, y), (6, 0), textcoords="offset points", **style)
    return last


def thousands(value: float, _: float = 0.0) -> str:
    """A tick: `2k`, `1.5M`."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def seconds_tick(value: float, _: float = 0.0) -> str:
    """A tick: `10 ms`."""
    return human_seconds(value).replace(".00 ", " ").replace(".0 ", " ")


def spread(wanted: Sequence[float], gap: float | Sequence[float], top: float = math.inf) -> list[float]:
    """Positions for labels of these heights, none above another or `top`, in the order of `wanted` and about there."""
    order = np.argsort(wanted, kind="stable")
    placed, heights = np.array(wanted, float)[order], np.broadcast_to(gap, len(wanted))[order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + (heights[i - 1] + heights[i]) / 2)
    if len(placed):
        placed -= max((placed[-1] - max(wanted)) / 2, placed[-1] - top)
    found: list[float] = placed[np.argsort(order)].tolist()
    return found


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Name each line at the right of the axes, whose limits stand; names are moved apart and a line leads to each."""
    names = [wrapped(text) for _, _, text, _ in ends]
    size = 9.5 if len(ends) <= 10 else 8.0
    lines = [0.0068 * size * (1 + name.count("\n")) for name in names]
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = [min(1.0, max(0.0, float(to_axes.transform((x, y))[1]))) for x, y, _, _ in ends]
    arrow: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 2, "shrinkB": 4, "relpos": (0, 0.5)}
    style: dict[str, Any] = {"va": "center", "fontsize": size, "fontweight": "bold", "linespacing": 0.95}
    style |= {"textcoords": "axes fraction", "annotation_clip": False}
    low, high = sorted(axes.get_ylim())
    for (x, y, _, colour), name, at in zip(ends, names, spread(wanted, lines, top=1.0), strict=True):
        end = (x, min(max(y, low), high))
        axes.annotate(name, end, (1.05, at), color=colour, arrowprops={**arrow, "color": colour}, **style)


def panels(figure: Figure, count: int, **more: Any) -> list[Axes]:
    """`count` pairs of axes in rows of `ACROSS` at most; the rest of the last row stays empty."""
    rows = -(-count // ACROSS)
    grid = figure.subplots(rows, -(-count // rows), squeeze=False, **more)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return list(grid.flat[:count])


def draw_lines(axes: Axes, points: pd.DataFrame, by: str = "label") -> list[End]:
    """Draw a line for each value of the column `by`; return the ends, for `name_ends` once the limits stand."""
    return [_line(axes, line) for _, line in points.groupby(by, sort=False)]


def _line(axes: Axes, line: pd.DataFrame) -> End:
    last: Any = line.iloc[-1]
    own = look(last)
    dashes = "--" if last.get("hollow") else own.dashes
    axes.plot(line["x"], line["y"], linestyle=dashes, color=own.colour, linewidth=1.8, zorder=3)
    for point in records(line):
        mark = look(point)
        rim: dict[str, Any] = {"mec": "white", "mew": 0.7}
        if getattr(point, "hollow", False):
            rim = {"mfc": "white", "mec": mark.colour, "mew": 1.6}
        if len(point.dots) > 1:
            x = [point.x] * len(point.dots)
            axes.plot(x, point.dots, "o", color=mark.colour, ms=3.5, mec=INK, mew=0.5, zorder=5)
        axes.plot([point.x], [point.y], marker=mark.marker, color=mark.colour, ms=mark.size, zorder=4, **rim)
    if "predicted" in line and len(known := line.dropna(subset="predicted")):
        ahead: dict[str, Any] = {"marker": "_", "ms": 12, "linewidth": 1.1, "alpha": 0.8, "zorder": 2}
        axes.plot(known["x"], known["predicted"], "--", color=own.colour, **ahead)
    return last.x, last.y, last["name"], own.ink


def size_axes(axes: Axes, sizes: Sequence[int], tick: Callable[[int], str], label: str) -> None:
    """Make both axes logarithmic, with ticks at these bytes."""
    axes.set_xlabel(label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(sizes), list(map(tick, sizes)), fontsize=9)
    axes.minorticks_off()
    span = math.log2(sizes[-1] / sizes[0]) or 1.0
    axes.set_xlim(sizes[0] / 2 ** (0.05 * span), sizes[-1] * 2 ** (0.05 * span))
    axes.margins(y=0.08)


def size_tick(size: float) -> str:
    """`4 KiB`, `1.2 MiB`, as short as it is true to three digits."""
    return human_bytes(size).replace(".0 ", " ")


def value_axis(axes: Axes, label: str, tick: Tick) -> None:
    """Label the logarithmic axis of values; add ticks between the powers of ten if they span too few of these."""
    low, high = axes.get_ylim()
    if high < 5 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    elif high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(tick)
    axes.set_ylabel(label)


def thin_out(axes: Axes) -> None:
    """Hide the names of sizes that would run into the one at their right; their ticks stay. The axes are laid out."""
    left = math.inf
    for label in reversed(axes.get_xticklabels()):
        box = label.get_window_extent()
        if box.x1 + 4 > left:
            label.set_visible(False)
        else:
            left = box.x0
