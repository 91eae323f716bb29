"""Samples per second of each entry of one contest, beside the ceiling and the yardstick."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes

from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, blank, thousands
from experiments.charts.material import Material, Series
from experiments.charts.style import ALARM, FAINT, INK
from experiments.charts.titles import fastest
from experiments.comparison import Entry
from experiments.format.units import human_count

FAR = 1.25  # times as fast as everybody else: beyond that the yardstick's bar is cut, as it would dwarf the others


def throughput(material: Material) -> Sheet:
    """Bars, the fastest first; every repeat a dot. Absent if no run has a throughput."""
    contest = material.focus
    shown, missing = material.read(contest.entries, _rates, "throughput")
    shown.sort(key=lambda s: -s.entry.rate.middle)
    figure = blank()
    axes = figure.subplots()
    ceilings = [s for s in shown if s.entry.strategy == "noop" and not s.refused]
    line = ceilings[0] if len(ceilings) == 1 and len(shown) > 1 else None  # one ceiling over everything
    cut = _cut(shown)
    axes.set_xlim(0, 1.45 * max(max(s.data) for s in shown if s not in cut))
    _bars(axes, [s for s in shown if s is not line], cut)
    if line:
        _ceiling(axes, line)
    axes.xaxis.set_major_formatter(thousands)
    repeats = max(len(s.data) for s in shown)
    what = f"median of {repeats} repeats, each a dot" if repeats > 1 else "one run a bar"
    axes.set_xlabel(f"samples per second without warm-up, {what}")
    return material.sheet(
        figure,
        _title(shown, line),
        shown,
        _rows(shown),
        missing=missing,
        notes=[*map(_said_of, cut), *material.only(contest)],
    )


def _rates(entry: Entry) -> tuple[float, ...] | None:
    return entry.rates if any(entry.rates) else None


def _cut(shown: list[Series]) -> list[Series]:
    """The yardsticks that are far beyond all others."""
    yardsticks = [s for s in shown if s.entry.strategy == "single" and not s.refused]
    most = max((max(s.data) for s in shown if s not in yardsticks), default=math.inf)
    return [s for s in yardsticks if max(s.data) > FAR * most]


def _said_of(s: Series) -> str:
    low, high = human_count(min(s.data)), human_count(max(s.data))
    its = f"{s.label}'s bar is cut: {low if low == high else f'{low} to {high}'}."
    return f"{its} As one process it has nobody to synchronise with, so no ceiling bounds it."


def _bars(axes: Axes, series: list[Series], cut: list[Series]) -> None:
    for y, s in enumerate(series):
        axes.barh(y, s.entry.rate.middle, 0.68, **s.bar)
        if s in cut:
            _break(axes, s, y)
            continue
        if len(s.data) > 1:
            axes.plot(s.data, [y] * len(s.data), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)
        share = f"   {s.entry.share:.0%} of the ceiling" if s.entry.share and s.contends else ""
        text = human_count(s.entry.rate.middle) + ("   not comparable" if s.refused else share)
        beside(axes, max(s.data), y, text, ALARM if s.refused else INK)
    bands(axes, [s.label if s.refused else s.name for s in series])


def _break(axes: Axes, s: Series, y: int) -> None:
    """Two strokes through a bar that goes on beyond the axes, and in it what it comes to."""
    at = axes.get_yaxis_transform()
    for x, colour, wide in ((0.936, "white", 10.0), (0.93, s.colour, 1.4), (0.942, s.colour, 1.4)):
        axes.plot([x - 0.008, x + 0.008], [y + 0.44, y - 0.44], color=colour, linewidth=wide, transform=at, zorder=2.5)
    text = f"{human_count(s.entry.rate.middle)}: one process, which has nobody to wait for"
    axes.text(0.015, y, text, va="center_baseline", fontsize=9.5, color=INK, transform=at, zorder=3)


def _ceiling(axes: Axes, line: Series) -> None:
    rate = line.entry.rate
    axes.axvspan(min(line.data), max(line.data), color=line.colour, alpha=0.18, linewidth=0, zorder=0)
    axes.axvline(rate.middle, color=line.colour, linestyle="--", zorder=0)
    text = f"{line.label}, no synchronisation: the ceiling, {human_count(rate.middle)}"
    low, high = axes.get_xlim()
    side = "right" if rate.middle > (low + high) / 2 else "center"
    axes.text(rate.middle, 1.01, text, ha=side, fontsize=9, color=FAINT, transform=axes.get_xaxis_transform())


def _title(shown: list[Series], line: Series | None) -> str:
    contenders = [s for s in shown if s.contends]
    if not contenders:
        return "Throughput, without a strategy to compare"
    best, others = contenders[0], contenders[1:]
    if not others:
        share = f", {best.entry.share:.0%} of the ceiling" if best.entry.share else ""
        return f"{best.label}: {human_count(best.entry.rate.middle)} samples/s{share}"
    if any(len(s.data) < 2 and not s.entry.exact for s in contenders):
        first, last = (f"{human_count(s.entry.rate.middle)} ({s.label})" for s in (best, others[-1]))
        return f"{first} to {last} samples/s: a verdict takes repeats"
    if best.entry.rate.low <= max(s.entry.rate.high for s in others):
        return f"No clear winner: {best.label} leads, but intervals overlap"
    return fastest({s.label: s.entry.rate.middle for s in contenders}, line.entry.rate.middle if line else None)


def _rows(shown: list[Series]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "samples_per_second": s.entry.rate.middle,
            "low": s.entry.rate.low,
            "high": s.entry.rate.high,
            "share_of_ceiling": s.entry.share,
            "repeats": s.data,
            "not_comparable": s.entry.refused,
        }
        for s in shown
    ]
