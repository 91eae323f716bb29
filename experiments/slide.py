"""The frame of a slide-sized chart: a sentence on top, the conditions below it, notes at the foot."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from experiments.style import FAINT


def blank() -> Figure:
    """A white slide."""
    figure = Figure(figsize=(10, 5.625), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def frame(figure: Figure, title: str, below: str, footer: Sequence[tuple[str, str]]) -> None:
    """Put `title` and, smaller, `below` over what was drawn, and lines with their colours under it; lay it all out."""
    heading = figure.text(0.02, 0.965, title, va="top", fontsize=17, fontweight="bold")
    heading.set_fontsize(17 * min(1.0, 0.96 * figure.bbox.width / heading.get_window_extent().width))
    second = figure.text(0.02, 0.893, below, va="top", fontsize=11, color=FAINT)
    second.set_fontsize(11 * min(1.0, 0.96 * figure.bbox.width / second.get_window_extent().width))
    for y, (line, colour) in enumerate(reversed(footer)):
        figure.text(0.02, 0.018 + 0.03 * y, line, fontsize=9, color=colour)
    bottom = 0.025 + 0.03 * len(footer)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0.012, bottom, 0.976, 0.855 - bottom)))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all formats show the same picture
