"""Throughput against the number of servers, dedicated and colocated."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from common.runtime.job import COLOCATED
from experiments.charts.export import Sheet
from experiments.charts.layout import End, blank, name_ends, thousands
from experiments.charts.material import Absent, Material, Series
from experiments.charts.style import INK
from experiments.comparison import Entry
from experiments.format.units import human_count
from experiments.format.words import plural
from experiments.runs.labels import bound
from experiments.runs.run import Run

Line = list[tuple[int, Series]]  # of one strategy and placement: (servers, the entry there), fewest first


def servers(material: Material) -> Sheet:
    """Samples/s against servers, beside what needs none. Absent unless runs differ in their number of servers."""
    try:
        contest = material.largest(lambda contest: any(len(line) > 1 for line in _lines(contest.entries).values()))
    except Absent:
        raise Absent("all runs of a strategy have the same number of servers") from None
    shown, missing = material.read(contest.entries, lambda entry: entry.rates if any(entry.rates) else None, "rates")
    by_entry = {id(s.entry): s for s in shown}
    lines = {
        name: [(count, by_entry[id(entry)]) for count, entry in line if id(entry) in by_entry]
        for name, line in _lines(contest.entries).items()
    }
    lines = {name: line for name, line in lines.items() if line}
    without = [s for s in shown if not s.run.summary.servers and s.entry.strategy != "single"]
    figure = blank()
    axes = figure.subplots()
    ends = [_draw(axes, name, line) for name, line in lines.items()]
    counts = sorted({count for line in lines.values() for count, _ in line})
    axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_xticks(counts, map(str, counts))
    drawn = [s for line in lines.values() for _, s in line]
    axes.set_ylim(0, 1.1 * max(max(s.data) for s in [*drawn, *without]))
    ends += [_level(axes, s, counts[-1]) for s in without]
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylabel("samples per second")
    axes.set_xlabel("servers")
    name_ends(axes, ends)
    notes = ["Solid, filled: dedicated servers, processes of their own; dashed, hollow: in the workers' processes."]
    notes += ["Level lines: without servers."] if without else []
    title = _title(lines)
    shown = [*drawn, *without]
    return material.sheet(
        figure, title, shown, _rows(lines, without), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _lines(entries: tuple[Entry, ...]) -> dict[str, list[tuple[int, Entry]]]:
    found: dict[str, list[tuple[int, Entry]]] = {}
    for entry in entries:
        if count := entry.run.summary.servers:
            found.setdefault(_name(entry.run), []).append((count, entry))
    return {name: sorted(line, key=lambda each: each[0]) for name, line in found.items()}


def _name(run: Run) -> str:
    """What its line is called: everything of the label but the number of servers."""
    options = run.summary.strategy_options.items()
    told = [f"{key}={value}" for key, value in sorted(options) if f"({value})" != bound(run)]
    placement = run.summary.placement or "dedicated"
    return " ".join([run.strategy.rpartition(":")[2] + bound(run), *told, str(placement)])


def _draw(axes: Axes, name: str, line: Line) -> End:
    first = line[0][1]
    inside = first.run.summary.placement == COLOCATED
    counts, medians = [count for count, _ in line], [s.entry.rate.middle for _, s in line]
    for count, s in line:
        if len(s.data) > 1:
            axes.plot([count] * len(s.data), s.data, "o", color=s.colour, ms=3.5, mec=INK, mew=0.5, zorder=5)
    axes.plot(counts, medians, "--" if inside else "-", color=first.colour, linewidth=1.8, zorder=3)
    for count, s in line:
        look: dict[str, Any] = {"mfc": "white", "mec": s.colour, "mew": 1.6} if inside else {"mec": "white", "mew": 0.7}
        axes.plot([count], [s.entry.rate.middle], marker=s.marker, color=s.colour, ms=s.size, zorder=4, **look)
    refused = ", not comparable" if line[-1][1].refused else ""
    return counts[-1], medians[-1], name + refused, line[-1][1].ink


def _level(axes: Axes, s: Series, most: int) -> End:
    """What has no servers: the same whatever their number."""
    axes.axhline(s.entry.rate.middle, color=s.colour, linestyle="-." if s.contends else ":", linewidth=1.3, zorder=2)
    if len(s.data) > 1:
        axes.axhspan(min(s.data), max(s.data), color=s.colour, alpha=0.1, linewidth=0, zorder=1)
    return most * 1.03, s.entry.rate.middle, s.name, s.ink


def _title(lines: dict[str, Line]) -> str:
    points = [(s.entry.rate.middle, name, count) for name, line in lines.items() for count, s in line if s.contends]
    if not points:
        return "Throughput against servers"
    rate, name, count = max(points)
    fewest = min(lines[name], key=lambda each: each[0])
    line = f"Highest: {name}, {human_count(rate)} samples/s with {plural(count, 'server')}"
    before = fewest[1].entry.rate.middle
    return line + (f", {rate / before:.1f}× that with {fewest[0]}" if fewest[0] != count and before else "")


def _rows(lines: dict[str, Line], without: list[Series]) -> list[dict[str, Any]]:
    points = [(count, s) for line in lines.values() for count, s in line] + [(0, s) for s in without]
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "servers": count,
            "placement": s.run.summary.placement if count else None,
            "samples_per_second": s.entry.rate.middle,
            "low": s.entry.rate.low,
            "high": s.entry.rate.high,
            "repeats": s.data,
            "not_comparable": s.entry.refused,
        }
        for count, s in points
    ]
