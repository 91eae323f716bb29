"""Samples per second of each entry of one contest, beside the ceiling and the yardstick."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.charts.data import ChartData, records
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, dots, slide, thousands
from experiments.charts.style import ALARM, FAINT, INK, look
from experiments.comparison.wording import verdict_title
from experiments.format.units import human_count

FAR = 1.25  # times as fast as all others: beyond it the yardstick's bar is cut, because it would dwarf the others
COLUMNS = ("samples_per_second", "low", "high", "share_of_ceiling", "repeats")


def throughput(data: ChartData) -> Sheet:
    """Bars, the fastest first; every repeat a dot. Absent if no run has a throughput."""
    shown, missing = data.timed(data.focus)
    shown = shown.sort_values("samples_per_second", ascending=False, kind="stable")
    top = shown["repeats"].map(max)
    cut = _cut(shown, top)
    ceilings = (shown["strategy"] == "noop") & ~shown["refused"]
    as_line = ceilings & (ceilings.sum() == 1) & (len(shown) > 1)  # one ceiling over everything
    figure, axes = slide()
    axes.set_xlim(0, 1.45 * top[~cut].max())
    bars = shown[~as_line]
    for y, entry in enumerate(records(bars)):
        _bar(axes, entry, y, cut[entry.Index])
    bands(axes, bars["short_name"])
    for entry in records(shown[as_line]):
        _ceiling(axes, entry)
    axes.xaxis.set_major_formatter(thousands)
    repeats = shown["repeats"].map(len).max()
    what = f"median of {repeats} repeats, each a dot" if repeats > 1 else "one run a bar"
    axes.set_xlabel(f"samples per second without warm-up, {what}")
    notes = [_cut_note(entry) for entry in records(shown[cut])]
    return data.sheet(figure, _title(data, shown), shown, COLUMNS, missing=missing, notes=notes)


def _cut(shown: pd.DataFrame, top: pd.Series[float]) -> pd.Series[bool]:
    """Which entries are yardsticks far beyond all others."""
    yardsticks = (shown["strategy"] == "single") & ~shown["refused"]
    return yardsticks & (top > FAR * top[~yardsticks].max())


def _cut_note(entry: Any) -> str:
    low, high = human_count(min(entry.repeats)), human_count(max(entry.repeats))
    span = low if low == high else f"{low} to {high}"
    return f"The bar of {entry.label} is cut: {span}. One process synchronises with nobody, so it has no ceiling."


def _bar(axes: Axes, entry: Any, y: int, cut: bool) -> None:
    axes.barh(y, entry.samples_per_second, 0.68, **look(entry).bar)
    if cut:
        _break(axes, entry, y)
        return
    dots(axes, entry.repeats, y)
    share = f"   {entry.share_of_ceiling:.0%} of the ceiling" if entry.contends and entry.share_of_ceiling > 0 else ""
    text = human_count(entry.samples_per_second) + ("   not comparable" if entry.refused else share)
    beside(axes, max(entry.repeats), y, text, ALARM if entry.refused else INK)


def _break(axes: Axes, entry: Any, y: int) -> None:
    """Two strokes through a bar that goes on beyond the axes, and its value inside it."""
    at, colour = axes.get_yaxis_transform(), look(entry).colour
    for x, ink, wide in ((0.936, "white", 10.0), (0.93, colour, 1.4), (0.942, colour, 1.4)):
        axes.plot([x - 0.008, x + 0.008], [y + 0.44, y - 0.44], color=ink, linewidth=wide, transform=at, zorder=2.5)
    text = f"{human_count(entry.samples_per_second)}: one process, which waits for nobody"
    axes.text(0.015, y, text, va="center_baseline", fontsize=9.5, color=INK, transform=at, zorder=3)


def _ceiling(axes: Axes, entry: Any) -> None:
    """A line over all bars."""
    colour, rate = look(entry).colour, entry.samples_per_second
    axes.axvspan(min(entry.repeats), max(entry.repeats), color=colour, alpha=0.18, linewidth=0, zorder=0)
    axes.axvline(rate, color=colour, linestyle="--", zorder=0)
    text = f"{entry.label}, no synchronisation: the ceiling, {human_count(rate)}"
    side = "right" if rate > sum(axes.get_xlim()) / 2 else "center"
    axes.text(rate, 1.01, text, ha=side, fontsize=9, color=FAINT, transform=axes.get_xaxis_transform())


def _title(data: ChartData, shown: pd.DataFrame) -> str:
    """The verdict, as on the command line and in the report; of one contender its throughput."""
    contenders = records(shown[shown["contends"]])
    if not contenders:
        return "Throughput, without a strategy to compare"
    if len(contenders) > 1:
        return verdict_title(data.contest(shown))
    (only,) = contenders
    share = f", {only.share_of_ceiling:.0%} of the ceiling" if only.share_of_ceiling > 0 else ""
    return f"{only.label}: {human_count(only.samples_per_second)} samples/s{share}"
