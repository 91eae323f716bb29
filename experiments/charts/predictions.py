"""Charts of predictions: time against size, a panel for each number of workers; PNG, SVG, and their data as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullFormatter

from experiments.charts.export import draw_files, write_csv
from experiments.charts.style import FAINT, INK, RC, style
from experiments.format.units import human_bytes, human_seconds, size_name
from experiments.format.words import plural
from experiments.prediction.batch import PredictedExchange
from experiments.prediction.cost_model import Figures
from experiments.prediction.crossovers import FastestRange, curves
from experiments.prediction.residuals import Residual

POINTS = 60  # of a curve
COLUMNS = 3  # panels side by side
CLOSE = 0.06  # of the width of a panel: the height of a name on its side, and some air


def plot_ahead(
    cells: Sequence[PredictedExchange],
    found: Mapping[int, Sequence[FastestRange]],
    figures: Mapping[int, Figures],
    folder: Path,
) -> list[Path]:
    """Write prediction.png, .svg and .csv into `folder`, made if need be; returns them.

    Lines are formulas, markers the simulations, dotted lines the sizes at which the fastest changes.
    """
    rows = [cell.to_dict() for cell in cells]
    with mpl.rc_context(RC):
        figure, panels = _panels(len(found))
        for axes, workers in zip(panels, found, strict=False):
            _ahead_panel(axes, [cell for cell in cells if cell.workers == workers], found[workers], figures[workers])
        title = "Where the fastest exchange changes, by formula"
        _title(
            figure,
            title,
            "lines: formula; markers: the strategy itself in virtual time; dotted: crossovers (beyond 5%)",
        )
        return _write(figure, rows, folder, "prediction")


def _ahead_panel(
    axes: Axes, cells: Sequence[PredictedExchange], fastest_ranges: Sequence[FastestRange], figures: Figures
) -> None:
    strategies = list(dict.fromkeys(cell.strategy for cell in cells))
    servers = max(cell.servers for cell in cells) or 1
    sizes = sorted({cell.nbytes for cell in cells})
    span = [round(sizes[0] * (sizes[-1] / sizes[0]) ** (i / (POINTS - 1))) for i in range(POINTS)]
    times = curves(strategies, cells[0].workers, servers, figures)
    for name in strategies:
        colour, marker = style(name)
        if name in times:
            axes.plot(span, [times[name](nbytes) for nbytes in span], "-", color=colour, label=name, zorder=3)
        dots = [(cell.nbytes, cell.virtual) for cell in cells if cell.strategy == name and cell.virtual]
        if dots:
            label = None if name in times else name
            axes.plot(*zip(*dots, strict=True), marker, color=colour, mec="white", ms=8, ls="", label=label, zorder=4)
    _crossovers(axes, fastest_ranges, sizes[-1] / sizes[0])
    _scale(axes, sizes, f"{plural(cells[0].workers, 'worker')}")


def _crossovers(axes: Axes, fastest_ranges: Sequence[FastestRange], span: float) -> None:
    """A dotted line where somebody takes over, and who; the names of two that are close stand at opposite ends."""
    high, before = False, 0.0
    for reign in fastest_ranges[1:]:
        high = not high and before > 0 and math.log(reign.low / before) < CLOSE * math.log(span)
        before = reign.low
        axes.axvline(reign.low, ls=":", color=FAINT, lw=1.2, zorder=1)
        axes.annotate(
            f" {reign.strategy} from {human_bytes(reign.low)} ",
            (reign.low, 0.98 if high else 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=8.5,
            color=FAINT,
            ha="right",
            va="top" if high else "bottom",
        )


def plot_beside(rows: Sequence[Residual], title: str, folder: Path) -> list[Path]:
    """Write residuals.png, .svg and .csv into `folder`, made if need be; returns them.

    Dots are what was measured, lines the formula, hollow markers the simulation.
    """
    keys = sorted({(row.transport, row.workers) for row in rows})
    with mpl.rc_context(RC):
        figure, panels = _panels(len(keys))
        for axes, key in zip(panels, keys, strict=False):
            mine = [row for row in rows if (row.transport, row.workers) == key]
            for name in dict.fromkeys(row.strategy for row in mine):
                _beside_series(axes, sorted((row for row in mine if row.strategy == name), key=lambda row: row.nbytes))
            _scale(axes, sorted({row.nbytes for row in mine}), f"{key[0]}, {plural(key[1], 'worker')}")
        _title(figure, "Predicted and measured", f"{title}; dots: measured; lines: formula; hollow: virtual time")
        return _write(figure, [row.to_dict() for row in rows], folder, "residuals")


def _beside_series(axes: Axes, rows: Sequence[Residual]) -> None:
    colour, marker = style(rows[0].strategy)
    name = rows[0].strategy.rpartition(":")[2]
    measured = [(row.nbytes, row.measured) for row in rows if row.measured > 0]
    formula = [(row.nbytes, row.formula) for row in rows if row.formula]
    virtual = [(row.nbytes, row.virtual) for row in rows if row.virtual]
    if measured:
        axes.plot(*zip(*measured, strict=True), marker, color=colour, mec=INK, ms=8, ls="", label=name, zorder=4)
    if formula:
        axes.plot(*zip(*formula, strict=True), "-", color=colour, zorder=3)
    if virtual:
        axes.plot(*zip(*virtual, strict=True), marker, color="none", mec=colour, ms=12, ls="", zorder=2)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(max(9.0, 5.4 * columns), 1.3 + 4.4 * lines), facecolor="white")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels


def _title(figure: Figure, title: str, below: str) -> None:
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.3 / height, title, fontsize=16, fontweight="bold", color=INK, va="center")
    figure.text(0.02, 1 - 0.62 / height, below, fontsize=10, color=FAINT, va="center")
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0.0, 0.0, 1.0, 1 - 0.8 / height), wspace=0.05))


def _scale(axes: Axes, sizes: Sequence[int], title: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(sizes), [size_name(size) for size in sizes], fontsize=8, rotation=30)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: human_seconds(value).replace(".00 ", " ").replace(".0 ", " "))
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_xlabel("bytes of the vector")
    axes.set_ylabel("time of one exchange")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")


def _write(figure: Figure, rows: Sequence[Mapping[str, object]], folder: Path, name: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / f"{name}.csv"
    write_csv(rows, table)
    return [table, *draw_files(name, figure, name, folder)]
