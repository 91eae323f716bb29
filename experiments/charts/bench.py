"""The charts of a benchmark: time against size, bandwidth against size, and their data as CSV.

A panel for each transport, side by side. Every repeat is a dot, the line goes through the medians, and below them the
prediction of the strategy's own formula, from the α, β and γ of that transport, is dashed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import structs

from common.runtime.job import COLOCATED
from experiments.bench.table import notes, with_update
from experiments.charts.export import draw_files, write_csv
from experiments.charts.layout import blank, frame
from experiments.charts.loglog import Curve, Point, draw_curves, name_curves, thin_out, ticks_in_sight
from experiments.charts.style import FAINT, INK, RC, style
from experiments.format.units import human_seconds, size_name
from experiments.machine.bandwidth_limits import RESOURCE
from experiments.schema.documents import Bench, BenchRow

COLUMNS = (
    "strategy",
    "transport",
    "workers",
    "servers",
    "placement",
    "bytes",
    "update",
    "seconds_median",
    "seconds_ci95_low",
    "seconds_ci95_high",
    "seconds_predicted",
    "algbw_GBps",
    "busbw_GBps",
    "server_ingress_GBps",
    "server_egress_GBps",
    "samples",
)


@dataclass(frozen=True)
class _Chart:
    """`value` gives what is drawn for a row that took so many seconds; `title` a sentence about all rows."""

    unit: Callable[[Bench], str]
    value: Callable[[BenchRow, float], float]
    title: Callable[[Bench], str]
    tick: Callable[[float], str]
    words: Callable[[float], str]  # a value with its unit
    shows: Callable[[BenchRow], bool] = lambda row: True
    extras: Callable[[Axes, Sequence[BenchRow]], None] = lambda axes, rows: None


def plot_bench(bench: Bench, folder: Path) -> list[Path]:
    """Write each chart as PNG and SVG, and their data as CSV, into `folder` (made if need be); returns the files.

    A benchmark without rows gives the CSV alone. A chart without a row to show is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "bench.csv"]
    write_csv(list(map(_csv_row, bench.rows)), files[0], COLUMNS)
    for name, chart in CHARTS.items():
        shown = [row for row in bench.rows if chart.shows(row)]
        if not shown:
            continue
        with mpl.rc_context(RC):
            files += draw_files(name, _figure(chart, bench, shown), chart.title(bench), folder)
    return files


def _csv_row(row: BenchRow) -> dict[str, Any]:
    low, high = row.seconds_ci95 or (None, None)
    return {**structs.asdict(row), "seconds_ci95_low": low, "seconds_ci95_high": high}


def panels(rows: Sequence[BenchRow]) -> dict[str, list[BenchRow]]:
    """The rows of each panel: one a transport of ours; an engine, which brings its own, is in all of them."""
    ours = list(dict.fromkeys(row.transport for row in rows if row.wire_bytes is not None))
    if not ours:
        return {"": list(rows)}
    return {name: [row for row in rows if row.transport == name or row.wire_bytes is None] for name in ours}


def _figure(chart: _Chart, bench: Bench, shown: Sequence[BenchRow]) -> Figure:
    parts = panels(shown)
    figure = blank(max(1.0, 0.75 * len(parts)))
    many = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    sizes = sorted({row.bytes for row in shown})
    drawn = [_panel(axes, chart, rows, sizes) for axes, rows in zip(many, parts.values(), strict=True)]
    many[0].set_ylabel(chart.unit(bench))
    ticks_in_sight(many[0])
    many[0].yaxis.set_major_formatter(lambda value, _: chart.tick(value))
    for axes, name, curves in zip(many, parts, drawn, strict=True):
        axes.set_title(name, loc="left", fontsize=11, color=INK)
        name_curves(axes, curves)
    foot = [(text, FAINT) for text in [*_left_out(bench, shown), *notes(bench)[:2]]]
    frame(figure, chart.title(bench), _conditions(bench), foot)
    for axes in many:
        thin_out(axes)
    return figure


def _conditions(bench: Bench) -> str:
    row, env = bench.rows[0], bench.environment
    repeats = max(len(each.samples) for each in bench.rows)
    servers = max(each.servers for each in bench.rows)
    beside = any(each.placement == COLOCATED for each in bench.rows)
    count = f" and {servers} server{'s' if servers > 1 else ''}" if servers else ""
    processes = f"{row.workers} workers{count}{' in their processes' if beside else ''}"
    dots = "each repeat a dot, line: median" if repeats > 1 else "one repeat"
    predicted = any(each.seconds_predicted for each in bench.rows)
    dashed = ", dashed: predicted by the formula of the exchange" if predicted else ""
    return f"{processes} on {env.cores} cores ({env.cpu}); {dots}{dashed}"


def _left_out(bench: Bench, shown: Sequence[BenchRow]) -> list[str]:
    """A line that names the strategies that the chart does not show."""
    present = {row.strategy for row in shown}
    missing = dict.fromkeys(row.strategy for row in bench.rows if row.strategy not in present)
    names = ", ".join(name.rpartition(":")[2] for name in missing)
    return [f"without {names}: through a server there is no bus bandwidth to compare"] if missing else []


def _panel(axes: Axes, chart: _Chart, rows: Sequence[BenchRow], sizes: Sequence[int]) -> list[Curve]:
    """Draw one; returns its curves, which are to be named when all panels are drawn."""
    keys = dict.fromkeys((row.strategy, row.transport) for row in rows)
    curves = [_curve(chart, [row for row in rows if (row.strategy, row.transport) == key]) for key in keys]
    draw_curves(axes, curves, sizes, size_name)
    axes.set_xlabel("bytes of the vector")
    chart.extras(axes, rows)
    return curves


def _curve(chart: _Chart, rows: Sequence[BenchRow]) -> Curve:
    """The rows of one contestant, from the smallest size on."""
    colour, marker = style(rows[0].strategy)
    points = []
    for row in sorted(rows, key=lambda row: row.bytes):
        values = [chart.value(row, seconds) for seconds in row.samples]
        predicted = chart.value(row, row.seconds_predicted) if row.seconds_predicted else None
        points.append(Point(row.bytes, values, chart.value(row, row.seconds_median), predicted))
    value = f", {chart.words(points[0].middle)}" if len(rows) == 1 else ""
    wrong = ", wrong" if any(row.wrong for row in rows) else ""
    return Curve(rows[0].strategy.rpartition(":")[2] + value + wrong, colour, marker, points)


def _limit(axes: Axes, rows: Sequence[BenchRow]) -> None:
    """The machine's limit for this transport, as bus bandwidth: what a row has, divided by its share."""
    known = [row for row in rows if row.limit_fraction and row.busbw_GBps and row.wire_bytes is not None]
    if not known:
        return
    value = _busbw(known[0]) / (known[0].limit_fraction or 1.0)
    axes.axhline(value, color="#B5B5B5", linewidth=5, alpha=0.6, zorder=1)
    kind = "copying" if RESOURCE.get(known[0].transport) == "copy" else "plain streams"
    axes.annotate(
        f"limit: {kind}, {value:.2g} GB/s",
        (known[0].bytes, value),
        (0, 6),
        textcoords="offset points",
        fontsize=9.5,
        color=FAINT,
        va="bottom",
    )


def _fastest(bench: Bench, size: int) -> BenchRow | None:
    right = [row for row in bench.rows if row.bytes == size and not row.wrong]
    return min(right, key=lambda row: row.seconds_median, default=None)


def _name(row: BenchRow) -> str:
    name = row.strategy.rpartition(":")[2]
    return name if name == row.transport else f"{name} over {row.transport}"


def _timed(bench: Bench) -> str:
    return "time of one exchange and update" if with_update(bench.rows) else "time of one exchange"


def _time_title(bench: Bench) -> str:
    sizes = sorted({row.bytes for row in bench.rows})
    parts = []
    for size in dict.fromkeys((sizes[0], sizes[-1])):
        if (row := _fastest(bench, size)) is not None:
            parts.append(f"{size_name(size)}: {_name(row)} in {human_seconds(row.seconds_median)}")
    return "Lowest median at " + "; at ".join(parts) if parts else "Every result was wrong"


def _bandwidth_title(bench: Bench) -> str:
    rows = [row for row in bench.rows if row.busbw_GBps and not row.wrong]
    if not rows:
        return "Every result was wrong"
    best = max(rows, key=_busbw)
    fraction = best.limit_fraction or 0.0
    share = f", {fraction:.0%} of the machine's limit" if 0 < fraction <= 1 else ", out of the caches" * (fraction > 1)
    return f"Highest bus bandwidth: {_name(best)}, {best.busbw_GBps:.3g} GB/s at {size_name(best.bytes)}{share}"


def _busbw(row: BenchRow) -> float:
    return row.busbw_GBps or 0.0


def _bandwidth(row: BenchRow, seconds: float) -> float:
    """Return the busbw of an exchange that took so many seconds."""
    return _busbw(row) * row.seconds_median / seconds


def _plain_seconds(seconds: float) -> str:
    """A tick: `10 ms`."""
    return human_seconds(seconds).replace(".00 ", " ").replace(".0 ", " ")


CHARTS = {
    "time": _Chart(_timed, lambda row, seconds: seconds, _time_title, _plain_seconds, human_seconds),
    "bandwidth": _Chart(
        lambda bench: "bus bandwidth, GB/s",
        _bandwidth,
        _bandwidth_title,
        lambda value: f"{value:g}",
        lambda value: f"{value:.3g} GB/s",
        lambda row: row.busbw_GBps is not None,  # what passes a server is no bus bandwidth
        _limit,
    ),
}
