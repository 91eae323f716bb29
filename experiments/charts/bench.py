"""The charts of a benchmark, with a panel for each transport, and their data as CSV.

Every repeat is a dot, the line goes through the medians, and the prediction of the strategy's formula is dashed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import structs

from common.runtime.job import COLOCATED
from experiments.bench.table import notes, with_update
from experiments.charts import layout
from experiments.charts.export import draw_files, write_csv
from experiments.charts.style import FAINT, RC
from experiments.format.units import human_seconds, size_name
from experiments.machine.bandwidth_limits import RESOURCE
from experiments.schema.documents import Bench, BenchRow

SECONDS = ["seconds_median", "seconds_ci95_low", "seconds_ci95_high", "seconds_predicted"]
RATES = ["algbw_GBps", "busbw_GBps", "server_ingress_GBps", "server_egress_GBps"]
COLUMNS = ["strategy", "transport", "workers", "servers", "placement", "bytes", "update", *SECONDS, *RATES, "samples"]


@dataclass(frozen=True)
class _Chart:
    """`points` selects the rows that it shows and adds y, dots and predicted."""

    points: Callable[[pd.DataFrame], pd.DataFrame]
    title: str
    unit: str
    tick: layout.Tick
    words: Callable[[float], str]  # a value with its unit


@mpl.rc_context(RC)
def plot_bench(bench: Bench, folder: Path) -> list[Path]:
    """Write each chart with data as PNG and SVG, and the rows as CSV, into `folder`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows(bench)
    files = [folder / "bench.csv"]
    write_csv(rows[COLUMNS], files[0])
    for name, chart in CHARTS.items():
        points = chart.points(rows) if len(rows) else rows
        if points.empty:
            continue
        files += draw_files(name, _figure(chart, bench, rows, points), chart.title, folder)
    return files


def _rows(bench: Bench) -> pd.DataFrame:
    """The rows of the benchmark, with what lines need to be drawn."""
    rows = pd.DataFrame(map(structs.asdict, bench.rows), columns=BenchRow.__struct_fields__)
    spans = rows.pop("seconds_ci95")
    rows = rows.astype(dict.fromkeys(("limit_fraction", "seconds_predicted", "busbw_GBps"), float))
    rows = rows.assign(seconds_ci95_low=spans.str[0], seconds_ci95_high=spans.str[1], x=rows["bytes"])
    contestant = [name.rpartition(":")[2] for name in rows["strategy"]]
    return rows.assign(contestant=contestant, wrong=rows["wrong"].fillna(0).astype(bool), refused=False, twin=0)


def panels(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each panel: one a transport of ours; an engine, which brings its own, is in all of them."""
    engine = rows["wire_bytes"].isna()
    ours = rows.loc[~engine, "transport"].unique()
    return {name: rows[(rows["transport"] == name) | engine] for name in ours} if len(ours) else {"": rows}


def _figure(chart: _Chart, bench: Bench, rows: pd.DataFrame, points: pd.DataFrame) -> Figure:
    parts = panels(points)
    figure = layout.blank(max(1.0, 0.75 * len(parts)))
    many = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    sizes = sorted(points["bytes"].unique().tolist())
    ends = [_panel(axes, chart, part, sizes) for axes, part in zip(many, parts.values(), strict=True)]
    updated = " and update" if chart.unit.startswith("time") and with_update(bench.rows) else ""
    layout.value_axis(many[0], chart.unit + updated, chart.tick)
    for axes, name, lines in zip(many, parts, ends, strict=True):
        axes.set_title(name, fontsize=11)
        layout.name_ends(axes, lines)
    missing = rows.loc[~rows["strategy"].isin(points["strategy"]), "contestant"].unique()
    foot = [f"without {', '.join(missing)}: through a server there is no bus bandwidth to compare"] * bool(len(missing))
    lines = [(text, FAINT) for text in [*foot, *notes(bench)[:2]]]
    layout.frame(figure, chart.title, _conditions(bench, rows), lines)
    for axes in many:
        layout.thin_out(axes)
    return figure


def _panel(axes: Axes, chart: _Chart, part: pd.DataFrame, sizes: Sequence[int]) -> Any:
    """Draw one; return the ends of its lines, to be named when all panels are drawn."""
    layout.size_axes(axes, sizes, size_name, "bytes of the vector")
    lines = part.sort_values("x", kind="stable").groupby(["strategy", "transport"], sort=False)
    if chart.unit.startswith("bus"):
        _limit(axes, part)
    named = []
    for number, (_, line) in enumerate(lines):
        value = f", {chart.words(line['y'].iloc[0])}" if len(line) == 1 else ""
        name = f"{line['contestant'].iloc[0]}{value}{', wrong' if line['wrong'].any() else ''}"
        named.append(line.assign(name=name, line=number))
    return layout.draw_lines(axes, pd.concat(named), by="line")


def _conditions(bench: Bench, rows: pd.DataFrame) -> str:
    env, servers = bench.environment, rows["servers"].max()
    count = f" and {servers} server{'s' if servers > 1 else ''}" if servers else ""
    inside = " in their processes" if (rows["placement"] == COLOCATED).any() else ""
    dots = "each repeat a dot, line: median" if rows["samples"].map(len).max() > 1 else "one repeat"
    dashed = ", dashed: predicted by the formula of the exchange" if rows["seconds_predicted"].notna().any() else ""
    return f"{rows['workers'].iloc[0]} workers{count}{inside} on {env.cores} cores ({env.cpu}); {dots}{dashed}"


def _limit(axes: Axes, part: pd.DataFrame) -> None:
    """The machine's limit for this transport as bus bandwidth: that of a row, divided by its share of the limit."""
    known = part[(part["limit_fraction"] > 0) & part["wire_bytes"].notna()]
    if known.empty:
        return
    first: Any = known.iloc[0]
    value = first.busbw_GBps / first.limit_fraction
    axes.axhline(value, color="#B5B5B5", linewidth=5, alpha=0.6, zorder=1)
    kind = "copying" if RESOURCE.get(first.transport) == "copy" else "plain streams"
    text, above = f"limit: {kind}, {value:.2g} GB/s", (0, 6)
    axes.annotate(text, (first.bytes, value), above, textcoords="offset points", fontsize=9.5, color=FAINT, va="bottom")


def _times(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["seconds_median"], dots=rows["samples"], predicted=rows["seconds_predicted"])


def _bandwidths(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a bus bandwidth: rows with servers have none."""
    known = rows[rows["busbw_GBps"].notna()]
    moved = known["busbw_GBps"] * known["seconds_median"]
    dots: Any = [[volume / seconds for seconds in each] for volume, each in zip(moved, known["samples"], strict=True)]
    return known.assign(y=known["busbw_GBps"], dots=dots, predicted=moved / known["seconds_predicted"])


CHARTS = {
    "time": _Chart(_times, "Time of one exchange, by size", "time of one exchange", layout.seconds_tick, human_seconds),
    "bandwidth": _Chart(
        _bandwidths, "Bus bandwidth of one exchange, by size", "bus bandwidth, GB/s", "{x:g}", "{:.3g} GB/s".format
    ),
}
