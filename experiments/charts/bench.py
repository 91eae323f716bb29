"""The charts of a benchmark: time against size, bandwidth against size, and their data as CSV.

A panel for each transport, side by side. Every repeat is a dot, the line goes through the medians, and below them the
prediction of the strategy's own formula, from the α, β and γ of that transport, is dashed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.runtime.job import COLOCATED
from experiments.bench.table import notes, with_update
from experiments.charts.export import draw_files, write_csv
from experiments.charts.layout import blank, frame
from experiments.charts.loglog import Curve, Point, draw_curves, name_curves, thin_out, ticks_in_sight
from experiments.charts.style import FAINT, INK, RC, style
from experiments.format.units import human_seconds, size_name
from experiments.machine.bandwidth_limits import RESOURCE

Document = Mapping[str, Any]
Row = Mapping[str, Any]
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

    unit: Callable[[Document], str]
    value: Callable[[Row, float], float]
    title: Callable[[Document], str]
    tick: Callable[[float], str]
    words: Callable[[float], str]  # a value with its unit
    shows: Callable[[Row], bool] = lambda row: True
    extras: Callable[[Axes, Sequence[Row]], None] = lambda axes, rows: None


def plot_bench(document: Document, folder: Path) -> list[Path]:
    """Write each chart as PNG and SVG, and their data as CSV, into `folder` (made if need be); returns the files.

    A document without rows gives the CSV alone, and one without a row that a chart shows lacks that chart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "bench.csv"]
    write_csv(list(map(_csv_row, document["rows"])), files[0], COLUMNS)
    for name, chart in CHARTS.items():
        shown = [row for row in document["rows"] if chart.shows(row)]
        if not shown:
            continue
        with mpl.rc_context(RC):
            files += draw_files(name, _figure(chart, document, shown), chart.title(document), folder)
    return files


def _csv_row(row: Row) -> dict[str, Any]:
    low, high = row["seconds_ci95"] or (None, None)
    return {**row, "seconds_ci95_low": low, "seconds_ci95_high": high}


def panels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each panel: one a transport of ours; an engine, which brings its own, is in all of them."""
    ours = list(dict.fromkeys(row["transport"] for row in rows if row["wire_bytes"] is not None))
    if not ours:
        return {"": list(rows)}
    return {name: [row for row in rows if row["transport"] == name or row["wire_bytes"] is None] for name in ours}


def _figure(chart: _Chart, document: Document, shown: Sequence[Row]) -> Figure:
    parts = panels(shown)
    figure = blank(max(1.0, 0.75 * len(parts)))
    many = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    sizes = sorted({row["bytes"] for row in shown})
    drawn = [_panel(axes, chart, rows, sizes) for axes, rows in zip(many, parts.values(), strict=True)]
    many[0].set_ylabel(chart.unit(document))
    ticks_in_sight(many[0])
    many[0].yaxis.set_major_formatter(lambda value, _: chart.tick(value))
    for axes, name, curves in zip(many, parts, drawn, strict=True):
        axes.set_title(name, loc="left", fontsize=11, color=INK)
        name_curves(axes, curves)
    foot = [(text, FAINT) for text in [*_left_out(document, shown), *notes(document)[:2]]]
    frame(figure, chart.title(document), _conditions(document), foot)
    for axes in many:
        thin_out(axes)
    return figure


def _conditions(document: Document) -> str:
    row, env = document["rows"][0], document["environment"]
    repeats = max(len(each["samples"]) for each in document["rows"])
    servers = max(each["servers"] for each in document["rows"])
    beside = any(each["placement"] == COLOCATED for each in document["rows"])
    count = f" and {servers} server{'s' if servers > 1 else ''}" if servers else ""
    processes = f"{row['workers']} workers{count}{' in their processes' if beside else ''}"
    dots = "each repeat a dot, line: median" if repeats > 1 else "one repeat"
    predicted = any(each["seconds_predicted"] for each in document["rows"])
    dashed = ", dashed: predicted by the formula of the exchange" if predicted else ""
    return f"{processes} on {env['cores']} cores ({env['cpu']}); {dots}{dashed}"


def _left_out(document: Document, shown: Sequence[Row]) -> list[str]:
    """A line that names the strategies that the chart does not show."""
    present = {row["strategy"] for row in shown}
    missing = dict.fromkeys(str(row["strategy"]) for row in document["rows"] if row["strategy"] not in present)
    names = ", ".join(name.rpartition(":")[2] for name in missing)
    return [f"without {names}: through a server there is no bus bandwidth to compare"] if missing else []


def _panel(axes: Axes, chart: _Chart, rows: Sequence[Row], sizes: Sequence[int]) -> list[Curve]:
    """Draw one; returns its curves, which are to be named when all panels are drawn."""
    keys = dict.fromkeys((row["strategy"], row["transport"]) for row in rows)
    curves = [_curve(chart, [row for row in rows if (row["strategy"], row["transport"]) == key]) for key in keys]
    draw_curves(axes, curves, sizes, size_name)
    axes.set_xlabel("bytes of the vector")
    chart.extras(axes, rows)
    return curves


def _curve(chart: _Chart, rows: Sequence[Row]) -> Curve:
    """The rows of one contestant, from the smallest size on."""
    colour, marker = style(rows[0]["strategy"])
    points = []
    for row in sorted(rows, key=lambda row: int(row["bytes"])):
        values = [chart.value(row, seconds) for seconds in row["samples"]]
        predicted = chart.value(row, row["seconds_predicted"]) if row["seconds_predicted"] else None
        points.append(Point(row["bytes"], values, chart.value(row, row["seconds_median"]), predicted))
    value = f", {chart.words(points[0].middle)}" if len(rows) == 1 else ""
    wrong = ", wrong" if any(row["wrong"] for row in rows) else ""
    return Curve(rows[0]["strategy"].rpartition(":")[2] + value + wrong, colour, marker, points)


def _limit(axes: Axes, rows: Sequence[Row]) -> None:
    """The machine's limit for this transport, as bus bandwidth: what a row has, divided by its share."""
    known = [row for row in rows if row["limit_fraction"] and row["busbw_GBps"] and row["wire_bytes"] is not None]
    if not known:
        return
    value = known[0]["busbw_GBps"] / known[0]["limit_fraction"]
    axes.axhline(value, color="#B5B5B5", linewidth=5, alpha=0.6, zorder=1)
    kind = "copying" if RESOURCE.get(known[0]["transport"]) == "copy" else "plain streams"
    axes.annotate(
        f"limit: {kind}, {value:.2g} GB/s",
        (known[0]["bytes"], value),
        (0, 6),
        textcoords="offset points",
        fontsize=9.5,
        color=FAINT,
        va="bottom",
    )


def _fastest(document: Document, size: int) -> Row | None:
    right = [row for row in document["rows"] if row["bytes"] == size and not row["wrong"]]
    return min(right, key=lambda row: row["seconds_median"], default=None)


def _name(row: Row) -> str:
    name = str(row["strategy"]).rpartition(":")[2]
    return name if name == row["transport"] else f"{name} over {row['transport']}"


def _timed(document: Document) -> str:
    return "time of one exchange and update" if with_update(document["rows"]) else "time of one exchange"


def _time_title(document: Document) -> str:
    sizes = sorted({row["bytes"] for row in document["rows"]})
    parts = []
    for size in dict.fromkeys((sizes[0], sizes[-1])):
        if (row := _fastest(document, size)) is not None:
            parts.append(f"{size_name(size)}: {_name(row)} in {human_seconds(row['seconds_median'])}")
    return "Lowest median at " + "; at ".join(parts) if parts else "Every result was wrong"


def _bandwidth_title(document: Document) -> str:
    rows = [row for row in document["rows"] if row["busbw_GBps"] and not row["wrong"]]
    if not rows:
        return "Every result was wrong"
    best = max(rows, key=lambda row: float(row["busbw_GBps"]))
    fraction = best["limit_fraction"] or 0.0
    share = f", {fraction:.0%} of the machine's limit" if 0 < fraction <= 1 else ", out of the caches" * (fraction > 1)
    return f"Highest bus bandwidth: {_name(best)}, {best['busbw_GBps']:.3g} GB/s at {size_name(best['bytes'])}{share}"


def _bandwidth(row: Row, seconds: float) -> float:
    """busbw, had the exchange taken so many seconds."""
    return float(row["busbw_GBps"]) * float(row["seconds_median"]) / seconds


def _plain_seconds(seconds: float) -> str:
    """A tick: `10 ms`."""
    return human_seconds(seconds).replace(".00 ", " ").replace(".0 ", " ")


CHARTS = {
    "time": _Chart(_timed, lambda row, seconds: seconds, _time_title, _plain_seconds, human_seconds),
    "bandwidth": _Chart(
        lambda document: "bus bandwidth, GB/s",
        _bandwidth,
        _bandwidth_title,
        lambda value: f"{value:g}",
        lambda value: f"{value:.3g} GB/s",
        lambda row: row["busbw_GBps"] is not None,  # what passes a server is no bus bandwidth
        _limit,
    ),
}
