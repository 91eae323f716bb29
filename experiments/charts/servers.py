"""Throughput against the number of servers, dedicated and colocated."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from common.runtime.job import COLOCATED
from experiments.charts.data import Absent, ChartData, records
from experiments.charts.export import Sheet
from experiments.charts.layout import End, name_ends, slide, thousands
from experiments.charts.lines import draw_lines
from experiments.charts.style import look
from experiments.format.units import human_count
from experiments.format.words import plural
from experiments.runs.labels import bound
from experiments.runs.run import Run

COLUMNS = ("servers", "placement", "samples_per_second", "low", "high", "repeats")


def servers(data: ChartData) -> Sheet:
    """Samples/s against servers, beside entries without any. Absent unless runs differ in their number of servers."""
    entries = data.entries.assign(line=[_line_name(data.entry(place).run) for place in data.entries.index])
    several = entries[entries["servers"] > 0].groupby(["contest", "line"])["label"].transform("size") > 1
    if not several.any():
        raise Absent("all runs of a strategy have the same number of servers")
    focus = data.largest(lambda rows: several.reindex(rows.index).eq(True).any())
    shown, missing = data.timed(entries.loc[focus.index])
    points = shown.assign(x=shown["servers"], y=shown["samples_per_second"], dots=shown["repeats"])
    points = points.assign(hollow=shown["placement"] == COLOCATED, twin=0)
    points["name"] = points["line"].mask(points["refused"], points["line"] + ", not comparable")
    points = points[points["servers"] > 0].sort_values("x", kind="stable")
    without = shown[(shown["servers"] == 0) & (shown["strategy"] != "single")]
    figure, axes = slide()
    ends = draw_lines(axes, points, by="line")
    counts = sorted(points["servers"].unique().tolist())
    axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_xticks(counts, map(str, counts))
    axes.set_ylim(0, 1.1 * pd.concat([points, without])["repeats"].map(max).max())
    ends += [_level(axes, entry, counts[-1]) for entry in records(without)]
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylabel("samples per second")
    axes.set_xlabel("servers")
    name_ends(axes, ends)
    notes = ["Solid, filled: dedicated servers, in processes of their own; dashed, hollow: in the workers' processes."]
    notes += ["Level lines: without servers."] if len(without) else []
    drawn = pd.concat([points, without])
    return data.sheet(figure, _title(points), drawn, COLUMNS, missing=missing, notes=notes)


def _line_name(run: Run) -> str:
    """The label of a run without its number of servers."""
    options = sorted(run.summary.strategy_options.items())
    words = [f"{key}={value}" for key, value in options if f"({value})" != bound(run)]
    return " ".join([run.strategy.rpartition(":")[2] + bound(run), *words, run.summary.placement or "dedicated"])


def _level(axes: Axes, entry: Any, most: int) -> End:
    """A level line for an entry without servers."""
    own = look(entry)
    rate, dashes = entry.samples_per_second, "-." if entry.contends else ":"
    axes.axhline(rate, color=own.colour, linestyle=dashes, linewidth=1.3, zorder=2)
    if len(entry.repeats) > 1:
        axes.axhspan(min(entry.repeats), max(entry.repeats), color=own.colour, alpha=0.1, linewidth=0, zorder=1)
    return most * 1.03, rate, entry.name, own.ink


def _title(points: pd.DataFrame) -> str:
    compared = points[points["contends"]]
    if compared.empty:
        return "Throughput against servers"
    best: Any = compared.sort_values("samples_per_second", kind="stable").iloc[-1]
    fewest: Any = compared[compared["line"] == best.line].iloc[0]
    rate = best.samples_per_second
    title = f"Highest: {best.line}, {human_count(rate)} samples/s with {plural(best.servers, 'server')}"
    if fewest.servers == best.servers:
        return title
    return f"{title}, {rate / fewest.samples_per_second:.1f}× that with {fewest.servers}"
