"""The charts of a benchmark: time against size, bandwidth against size, and their data as CSV.

A panel for each transport, side by side. Every repeat is a dot, the line goes through the medians, and below them the
prediction of the strategy's own formula, from the α, β and γ of that transport, is dashed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from experiments.bench import size_name
from experiments.bench_table import human_seconds, notes
from experiments.limits import RESOURCE
from experiments.style import FAINT, FORMATS, INK, RC, style

Document = Mapping[str, Any]
Row = Mapping[str, Any]
COLUMNS = (
    "strategy",
    "transport",
    "bytes",
    "seconds_median",
    "seconds_ci95_low",
    "seconds_ci95_high",
    "seconds_predicted",
    "algbw_GBps",
    "busbw_GBps",
    "server_ingress_GBps",
    "samples",
)
LABEL_GAP = 0.047  # between two labels, as a share of the height of a panel


@dataclass(frozen=True)
class _Chart:
    """`value` gives what is drawn for a row that took so many seconds; `title` a sentence about all rows."""

    unit: str
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
    _write_csv(document["rows"], files[0])
    for name, chart in CHARTS.items():
        shown = [row for row in document["rows"] if chart.shows(row)]
        if not shown:
            continue
        with mpl.rc_context(RC):
            figure = _figure(chart, document, shown)
            for suffix, metadata in FORMATS.items():
                files.append(folder / f"{name}.{suffix}")
                figure.savefig(files[-1], dpi=160, metadata=metadata)
    return files


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            low, high = row["seconds_ci95"] or (None, None)
            more = {"seconds_ci95_low": low, "seconds_ci95_high": high, "samples": " ".join(map(repr, row["samples"]))}
            writer.writerow([{**row, **more}[column] for column in COLUMNS])


def panels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each panel: one a transport of ours; an engine, which brings its own, is in all of them."""
    ours = list(dict.fromkeys(row["transport"] for row in rows if row["wire_bytes"] is not None))
    if not ours:
        return {"": list(rows)}
    return {name: [row for row in rows if row["transport"] == name or row["wire_bytes"] is None] for name in ours}


def _figure(chart: _Chart, document: Document, shown: Sequence[Row]) -> Figure:
    parts = panels(shown)
    figure = Figure(figsize=(max(10.0, 6.4 * len(parts)), 6.4), facecolor="white")
    FigureCanvasAgg(figure)
    many = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, rows) in zip(many, parts.items(), strict=True):
        _panel(axes, chart, rows, sorted({row["bytes"] for row in shown}))
        axes.set_title(name, loc="left", fontsize=12, color=INK)
    many[0].set_ylabel(chart.unit)
    _ticks_in_sight(many[0])
    heading = figure.text(0.02, 0.97, chart.title(document), va="top", fontsize=17, fontweight="bold")
    heading.set_fontsize(17 * min(1.0, 0.96 * figure.bbox.width / heading.get_window_extent().width))
    above = [_conditions(document), *_left_out(document, shown)]
    for index, line in enumerate(above):
        below = figure.text(0.02, 0.9 - 0.035 * index, line, va="top", fontsize=11, color=FAINT)
        below.set_fontsize(11 * min(1.0, 0.96 * figure.bbox.width / below.get_window_extent().width))
    footer = [line for note in notes(document)[:2] for line in wrap(note, 150)]
    for y, line in enumerate(reversed(footer)):
        figure.text(0.02, 0.018 + 0.03 * y, line, fontsize=9, color=FAINT)
    bottom = 0.025 + 0.03 * len(footer)
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0.012, bottom, 0.976, 0.905 - 0.035 * len(above) - bottom), wspace=0.04)
    )
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, so that all formats show the same picture
    for axes in many:
        _thin_out(axes)
    return figure


def _conditions(document: Document) -> str:
    row, env = document["rows"][0], document["environment"]
    repeats = max(len(each["samples"]) for each in document["rows"])
    servers = max(each["servers"] for each in document["rows"])
    processes = f"{row['workers']} workers" + (f" and {servers} server{'s' if servers > 1 else ''}" if servers else "")
    dots = "each repeat a dot, line: median" if repeats > 1 else "one repeat"
    return f"{processes} on {env['cores']} cores ({env['cpu']}); {dots}, dashed: predicted by the formula"


def _left_out(document: Document, shown: Sequence[Row]) -> list[str]:
    """A line that names the strategies that the chart does not show."""
    present = {row["strategy"] for row in shown}
    missing = dict.fromkeys(str(row["strategy"]) for row in document["rows"] if row["strategy"] not in present)
    names = ", ".join(name.rpartition(":")[2] for name in missing)
    return [f"without {names}: through a server there is no bus bandwidth to compare"] if missing else []


def _ticks_in_sight(axes: Axes) -> None:
    """Ticks between the powers of ten where the values span too little to have several of those."""
    low, high = axes.get_ylim()
    if high < 5 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    elif high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def _thin_out(axes: Axes) -> None:
    """Hide the names of sizes that would run into the one at their right; their ticks stay."""
    left = math.inf
    for label in reversed(axes.get_xticklabels()):
        box = label.get_window_extent()
        if box.x1 + 4 > left:
            label.set_visible(False)
        else:
            left = box.x0


def _panel(axes: Axes, chart: _Chart, rows: Sequence[Row], sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ends: list[tuple[float, float, str, str]] = []  # x and y of the last median, label, colour
    for key in dict.fromkeys((row["strategy"], row["transport"]) for row in rows):
        mine = sorted((row for row in rows if (row["strategy"], row["transport"]) == key), key=lambda r: r["bytes"])
        ends.append(_series(axes, chart, mine))
    chart.extras(axes, rows)
    _sizes(axes, sizes)
    axes.yaxis.set_major_formatter(lambda value, _: chart.tick(value))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.08)
    _label(axes, ends)


def _series(axes: Axes, chart: _Chart, rows: Sequence[Row]) -> tuple[float, float, str, str]:
    colour, marker = style(rows[0]["strategy"])
    sizes = [row["bytes"] for row in rows]
    for row in rows:
        values = [chart.value(row, seconds) for seconds in row["samples"]]
        axes.plot([row["bytes"]] * len(values), values, "o", color=colour, ms=3.8, mec=INK, mew=0.6, zorder=5)
    medians = [chart.value(row, row["seconds_median"]) for row in rows]
    axes.plot(sizes, medians, "-", color=colour, marker=marker, markersize=9, mec="white", zorder=4)
    predicted = [row for row in rows if row["seconds_predicted"]]
    if predicted:
        curve = [chart.value(row, row["seconds_predicted"]) for row in predicted]
        axes.plot([row["bytes"] for row in predicted], curve, "--", color=colour, linewidth=1.1, alpha=0.75, zorder=2)
    value = f", {chart.words(medians[0])}" if len(rows) == 1 else ""
    name = rows[0]["strategy"].rpartition(":")[2] + value
    wrong = ", wrong" if any(row["wrong"] for row in rows) else ""
    return sizes[-1], medians[-1], name + wrong, colour


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


def _sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """A tick at each size that was measured, and room for labels at the right."""
    ticks = list(sizes)
    axes.set_xticks(ticks, [size_name(size) for size in ticks], fontsize=9)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    span = math.log2(ticks[-1] / ticks[0]) or 1.0
    axes.set_xlim(ticks[0] / 2 ** (0.04 * span), ticks[-1] * 2 ** (0.33 * span))
    axes.set_xlabel("bytes of the vector")


def spread(wanted: Sequence[float], gap: float, top: float = math.inf) -> list[float]:
    """Positions at least `gap` apart and none above `top`, in the order of `wanted` and about as high."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [wanted[i] for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    excess = (placed[-1] - wanted[order[-1]]) / 2 if placed else 0.0
    if placed:
        excess = max(excess, placed[-1] - top)
    placed = [y - excess for y in placed]
    result = [0.0] * len(wanted)
    for i, y in zip(order, placed, strict=True):
        result[i] = y
    return result


def _label(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name each series at its right end; where they are close, the names are moved apart and a line leads there."""
    low, high = (math.log10(value) for value in axes.get_ylim())
    heights = [(math.log10(y) - low) / (high - low) for _, y, _, _ in ends]
    left, right = (math.log2(value) for value in axes.get_xlim())
    for (x, y, text, colour), height in zip(ends, spread(heights, LABEL_GAP, top=0.98), strict=True):
        at = (math.log2(x) - left) / (right - left) + 0.07
        axes.annotate(
            text,
            (x, y),
            (at, height),
            textcoords="axes fraction",
            va="center",
            fontsize=10.5,
            color=colour,
            fontweight="bold",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 3,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )


def _fastest(document: Document, size: int) -> Row | None:
    right = [row for row in document["rows"] if row["bytes"] == size and not row["wrong"]]
    return min(right, key=lambda row: row["seconds_median"], default=None)


def _name(row: Row) -> str:
    name = str(row["strategy"]).rpartition(":")[2]
    return name if name == row["transport"] else f"{name} over {row['transport']}"


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
    "time": _Chart("time of one exchange", lambda row, seconds: seconds, _time_title, _plain_seconds, human_seconds),
    "bandwidth": _Chart(
        "bus bandwidth, GB/s",
        _bandwidth,
        _bandwidth_title,
        lambda value: f"{value:g}",
        lambda value: f"{value:.3g} GB/s",
        lambda row: row["busbw_GBps"] is not None,  # what passes a server is no bus bandwidth
        _limit,
    ),
}
