"""Charts of predictions: time against size, a panel for each number of workers; PNG, SVG, and their data as CSV."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import to_builtins

from experiments.charts.export import draw_files, write_csv
from experiments.charts.layout import blank, frame, seconds_tick, size_axes, thin_out
from experiments.charts.style import FAINT, INK, RC, SIZE, style
from experiments.format.units import human_bytes, size_name
from experiments.format.words import plural
from experiments.prediction.cost_model import Figures
from experiments.prediction.crossovers import FastestRange, curves
from experiments.prediction.predict import PredictedExchange
from experiments.prediction.residuals import Residual

POINTS = 60  # of a curve
COLUMNS = 3  # panels side by side
CLOSE = 0.06  # of the width of a panel: the height of a name on its side, and some air


@mpl.rc_context(RC)
def plot_ahead(
    cells: Sequence[PredictedExchange],
    found: Mapping[int, Sequence[FastestRange]],
    figures: Mapping[int, Figures],
    folder: Path,
) -> list[Path]:
    """Write prediction.png, .svg and .csv into `folder`; return them. Dotted: where the fastest changes."""
    rows = pd.DataFrame(to_builtins(cells))
    figure, panels = _panels(len(found))
    for axes, workers in zip(panels, found, strict=True):
        part = rows[rows["workers"] == workers]
        _formulas(axes, part, figures[workers])
        for name, line in part[part["virtual_seconds"] > 0].groupby("strategy", sort=False):
            _markers(axes, str(name), line, "virtual_seconds", mec="white", ms=8)
        _crossovers(axes, found[workers], part["bytes"].max() / part["bytes"].min())
        _finish(axes, part, plural(workers, "worker"))
    below = "lines: formula; markers: the strategy itself in virtual time; dotted: crossovers (beyond 5%)"
    title = "Where the fastest exchange changes, by formula"
    return _write(figure, title, below, rows, folder / "prediction.csv")


def _formulas(axes: Axes, part: pd.DataFrame, figures: Figures) -> None:
    low, high = part["bytes"].min(), part["bytes"].max()
    span = [round(low * (high / low) ** (i / (POINTS - 1))) for i in range(POINTS)]
    strategies, workers = part["strategy"].unique().tolist(), int(part["workers"].iloc[0])
    for name, seconds in curves(strategies, workers, int(part["servers"].max()) or 1, figures).items():
        axes.plot(span, [seconds(nbytes) for nbytes in span], "-", color=style(name)[0], label=name, zorder=3)


def _markers(axes: Axes, name: str, line: pd.DataFrame, seconds: str, **how: Any) -> None:
    """Markers of a strategy at its known seconds; it is named in the legend once."""
    line = line[line[seconds] > 0]
    colour, marker = style(name)
    short = name.rpartition(":")[2]
    label = None if short in axes.get_legend_handles_labels()[1] else short
    axes.plot(line["bytes"], line[seconds], marker, **{"color": colour, "ls": "", "label": label, "zorder": 4} | how)


def _crossovers(axes: Axes, fastest_ranges: Sequence[FastestRange], span: float) -> None:
    """A dotted line where another strategy becomes the fastest, with its name; close names stand at opposite ends."""
    high, before = False, 0.0
    for fastest in fastest_ranges[1:]:
        high = not high and before > 0 and math.log(fastest.low / before) < CLOSE * math.log(span)
        before = fastest.low
        axes.axvline(fastest.low, ls=":", color=FAINT, lw=1.2, zorder=1)
        y, va = (0.98, "top") if high else (0.02, "bottom")
        look: dict[str, Any] = {"rotation": 90, "fontsize": 8.5, "color": FAINT, "ha": "right", "va": va}
        name = f" {fastest.strategy} from {human_bytes(fastest.low)} "
        axes.text(fastest.low, y, name, transform=axes.get_xaxis_transform(), **look)


@mpl.rc_context(RC)
def plot_beside(residuals: Sequence[Residual], title: str, folder: Path) -> list[Path]:
    """Write residuals.png, .svg and .csv into `folder`; return them. Dots: measured; hollow: simulated."""
    rows = pd.DataFrame([row.to_dict() for row in residuals])
    parts: Any = list(rows.sort_values("bytes", kind="stable").groupby(["transport", "workers"]))
    figure, panels = _panels(len(parts))
    for axes, ((transport, workers), part) in zip(panels, parts, strict=True):
        for name, line in part.groupby("strategy", sort=False):
            colour = style(name)[0]
            _markers(axes, name, line, "measured_seconds", mec=INK, ms=8)
            formula = line[line["formula_seconds"] > 0]
            axes.plot(formula["bytes"], formula["formula_seconds"], "-", color=colour, zorder=3)
            _markers(axes, name, line, "virtual_seconds", color="none", mec=colour, ms=12, zorder=2)
        _finish(axes, part, f"{transport}, {plural(workers, 'worker')}")
    below = f"{title}; dots: measured; lines: formula; hollow: virtual time"
    return _write(figure, "Predicted and measured", below, rows, folder / "residuals.csv")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    figure = blank(max(9.0, 5.4 * columns) / SIZE[0], (1.3 + 4.4 * lines) / SIZE[1])
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _finish(axes: Axes, part: pd.DataFrame, title: str) -> None:
    size_axes(axes, sorted(part["bytes"].unique().tolist()), size_name, "bytes of the vector")
    axes.yaxis.set_major_formatter(seconds_tick)
    axes.set_title(title, fontsize=12)
    axes.set_ylabel("time of one exchange")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")


def _write(figure: Figure, title: str, below: str, rows: pd.DataFrame, table: Path) -> list[Path]:
    frame(figure, title, below, ())
    for axes in figure.axes:
        thin_out(axes)
    table.parent.mkdir(parents=True, exist_ok=True)
    write_csv(rows, table)
    return [table, *draw_files(table.stem, figure, title, table.parent)]
