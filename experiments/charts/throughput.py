"""Samples per second of each entry of one contest, beside the ceiling and the yardstick."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from experiments.charts.material import Material, Series
from experiments.charts.picture import Sheet
from experiments.charts.slide import bands, beside, blank, thousands
from experiments.charts.style import ALARM, FAINT, INK
from experiments.comparison import Entry
from experiments.sentences import fastest
from experiments.units import human_count

HOLLOW: dict[str, Any] = {"facecolor": "white", "hatch": "////"}  # what nobody competes with, or may not


def throughput(material: Material) -> Sheet:
    """Bars, the fastest first; every repeat a dot. Absent if no run has a throughput."""
    contest = material.focus
    shown, missing = material.read(contest.entries, _rates, "throughput")
    shown.sort(key=lambda s: -s.entry.rate.middle)
    figure = blank()
    axes = figure.subplots()
    ceilings = [s for s in shown if s.entry.strategy == "noop" and not s.refused]
    line = ceilings[0] if len(ceilings) == 1 and len(shown) > 1 else None  # one ceiling over everything
    _bars(axes, [s for s in shown if s is not line])
    if line:
        _ceiling(axes, line)
    widest = max(max(s.data) for s in shown)
    axes.set_xlim(0, 1.3 * widest)
    axes.xaxis.set_major_formatter(thousands)
    repeats = max(len(s.data) for s in shown)
    what = f"median of {repeats} repeats, each a dot" if repeats > 1 else "one run a bar"
    axes.set_xlabel(f"samples per second without warm-up, {what}")
    return material.sheet(
        figure, _title(shown, line), shown, _rows(shown), missing=missing, notes=material.only(contest)
    )


def _rates(entry: Entry) -> tuple[float, ...] | None:
    return entry.rates if any(entry.rates) else None


def _bars(axes: Axes, series: list[Series]) -> None:
    for y, s in enumerate(series):
        solid = s.contends
        axes.barh(y, s.entry.rate.middle, 0.68, edgecolor=s.colour, **({"facecolor": s.colour} if solid else HOLLOW))
        if len(s.data) > 1:
            axes.plot(s.data, [y] * len(s.data), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)
        share = f"   {s.entry.share:.0%} of the ceiling" if s.entry.share and s.contends else ""
        text = human_count(s.entry.rate.middle) + ("   not comparable" if s.refused else share)
        beside(axes, max(s.data), y, text, ALARM if s.refused else INK)
    bands(axes, [s.label if s.refused else s.name for s in series])


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
    if others and len(best.data) > 1 and best.entry.rate.low <= max(s.entry.rate.high for s in others):
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
