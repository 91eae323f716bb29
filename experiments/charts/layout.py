"""The frame of a slide-sized chart: a sentence on top, the conditions below it, notes at the foot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from experiments.charts.style import FAINT, INK, SIZE
from experiments.format.units import human_seconds

FOOT, FOOT_WIDTH = 8, 132  # points, and the letters of a line
LINE = 0.036  # of the foot, as a share of the height
HEADING, LEAST = 15.0, 11.5  # points
ACROSS = 4  # panels in a row, at most

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
    heading = figure.text(0.02, 0.97, title, va="top", fontsize=HEADING, fontweight="bold", linespacing=1.1)
    if _fit(heading, HEADING) < LEAST:
        heading.set_text("\n".join(halved(title)))
        _fit(heading, HEADING)
    y = _bottom(heading) - 0.018
    second = figure.text(0.02, y, below, va="top", fontsize=10, color=FAINT)
    if _fit(second, 10.0) < 8.5:
        second.set_text("\n".join(halved(below)))
        _fit(second, 10.0)
    top = _bottom(second) - 0.01
    wide = figure.get_figwidth() / SIZE[0]
    lines = [(line, colour) for text, colour in footer for line in wrap(text, int(wide * FOOT_WIDTH))]
    for row, (line, colour) in enumerate(reversed(lines)):
        _fit(figure.text(0.02, 0.018 + LINE * row, line, fontsize=FOOT, color=colour), FOOT)
    bottom = 0.03 + LINE * len(lines)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0.012, bottom, 0.976, top - bottom)))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all formats show the same picture
    for axes in figure.axes:  # the solver's last digits vary, and the ids in an SVG file depend on them
        left, low, wide, high = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(low, 6), round(wide, 6), round(high, 6)), which="original")


def _fit(text: Text, size: float) -> float:
    """Make a text of `size` points smaller where it is wider than its figure; returns the points that it has now."""
    figure = text.get_figure()
    assert figure is not None
    text.set_fontsize(size)
    text.set_fontsize(size * min(1.0, 0.96 * figure.bbox.width / text.get_window_extent().width))
    return float(text.get_fontsize())


def _bottom(text: Text) -> float:
    figure = text.get_figure()
    assert figure is not None
    return float(text.get_window_extent().y0 / figure.bbox.height)


def halved(text: str) -> list[str]:
    """A text in two lines of about the same length."""
    return wrap(text, max(len(text) // 2 + 8, 1), break_on_hyphens=False) or [""]


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


def beside(axes: Axes, x: float, y: float, text: str, colour: str = INK) -> None:
    """Text at the right of a point, on white so that lines stay out of it."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    look: dict[str, Any] = {"va": "center_baseline", "fontsize": 9.5, "color": colour, "bbox": box}
    axes.annotate(text, (x, y), (6, 0), textcoords="offset points", **look)


def dots(axes: Axes, values: Sequence[float], y: float) -> None:
    """Several repeats, each a dot on their bar."""
    if len(values) > 1:
        axes.plot(values, [y] * len(values), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)


def thousands(value: float, _: float = 0.0) -> str:
    """A tick: `2k`, `1.5M`."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def seconds_tick(value: float, _: float = 0.0) -> str:
    """A tick: `10 ms`."""
    return human_seconds(value).replace(".00 ", " ").replace(".0 ", " ")


def plain_tick(value: float, _: float = 0.0) -> str:
    """A tick: `0.1`, `25`."""
    return f"{value:g}"


def spread(wanted: Sequence[float], gap: float | Sequence[float], top: float = math.inf) -> list[float]:
    """Positions for labels of these heights, none above another or `top`, in the order of `wanted` and about there."""
    heights = [gap] * len(wanted) if isinstance(gap, int | float) else gap
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [wanted[i] for i in order]
    for i in range(1, len(placed)):
        apart = (heights[order[i - 1]] + heights[order[i]]) / 2
        placed[i] = max(placed[i], placed[i - 1] + apart)
    excess = (placed[-1] - wanted[order[-1]]) / 2 if placed else 0.0
    if placed:
        excess = max(excess, placed[-1] - top)
    result = [0.0] * len(wanted)
    for i, y in zip(order, placed, strict=True):
        result[i] = y - excess
    return result


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Name each line at the right of the axes, whose limits stand; names are moved apart and a line leads to each."""
    names = [wrapped(text) for _, _, text, _ in ends]
    size = 9.5 if len(ends) <= 10 else 8.0
    lines = [0.0068 * size * (1 + name.count("\n")) for name in names]
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = [min(1.0, max(0.0, float(to_axes.transform((x, y))[1]))) for x, y, _, _ in ends]
    arrow: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 2, "shrinkB": 4, "relpos": (0, 0.5)}
    look: dict[str, Any] = {"va": "center", "fontsize": size, "fontweight": "bold", "annotation_clip": False}
    low, high = sorted(axes.get_ylim())
    for (x, y, _, colour), name, at in zip(ends, names, spread(wanted, lines, top=1.0), strict=True):
        axes.annotate(
            name,
            (x, min(max(y, low), high)),
            (1.05, at),
            textcoords="axes fraction",
            color=colour,
            linespacing=0.95,
            arrowprops={**arrow, "color": colour},
            **look,
        )


def side_legend(axes: Axes, **more: Any) -> None:
    """A legend at the right of the axes, where no line runs through it."""
    look: dict[str, Any] = {
        "loc": "center left",
        "bbox_to_anchor": (1.01, 0.5),
        "borderaxespad": 0,
        "handlelength": 2.2,
    }
    axes.legend(**look, **more)


def panels(figure: Figure, count: int, **more: Any) -> list[Axes]:
    """`count` pairs of axes in rows of `ACROSS` at most; the rest of the last row stays empty."""
    rows = -(-count // ACROSS)
    grid = figure.subplots(rows, -(-count // rows), squeeze=False, **more)
    every = list(grid.flat)
    for axes in every[count:]:
        axes.set_axis_off()
    return every[:count]


def percent(axis: Any, most: float | None = None) -> None:
    """Ticks as percentages."""
    tick: Callable[[float, float], str] = lambda value, _: f"{value:.0%}"  # noqa: E731
    axis.set_major_formatter(tick)
    if most is not None:
        axis.axes.set_ylim(0, most)
