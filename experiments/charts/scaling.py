"""How throughput grows with the number of workers, and how much is left of what lone workers would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.charts.data import Absent, ChartData
from experiments.charts.export import Sheet
from experiments.charts.layout import End, blank, name_ends, percent, slide, thousands
from experiments.charts.lines import draw_lines
from experiments.charts.style import FAINT, INK
from experiments.comparison.wording import growth
from experiments.format.units import human_count
from experiments.format.words import plural

DOTTED = (0, (1, 1.5))
COLUMNS = (
    "workers",
    "processes",
    "samples_per_second",
    "low",
    "high",
    "ideal",
    "predicted",
    "efficiency_per_worker",
    "efficiency_per_process",
    "repeats",
)


@dataclass(frozen=True)
class _Scaling:
    shown: pd.DataFrame  # entries of several contests, fewest workers first
    missing: Sequence[str]
    fewest: int  # workers
    alone: float  # samples/s of one worker that synchronises with nobody, measured with the fewest workers
    base: str  # label of the entry with that throughput

    @property
    def counts(self) -> list[int]:
        return sorted(self.shown["workers"].unique().tolist())


def scaling(data: ChartData) -> Sheet:
    """Samples/s against workers, with the ideal. Absent unless runs differ in their number of workers."""
    known = _read(data)
    shown = known.shown
    figure, axes = slide()
    ends = draw_lines(axes, shown.assign(x=shown["workers"], y=shown["samples_per_second"], dots=shown["repeats"]))
    _worker_axis(axes, known.counts)
    ideal = [known.alone * workers for workers in known.counts]
    axes.plot(known.counts, ideal, color=INK, linestyle=DOTTED, linewidth=1.2, zorder=1)
    _throughput_axis(axes, known, ideal[-1])
    _name_lines(axes, known, ends)
    dots = "Each repeat is a dot. " if shown["repeats"].map(len).max() > 1 else ""
    dashed = "Dashed: predicted. " if shown["predicted"].notna().any() else ""
    notes = [f"{dots}{dashed}Ideal: {known.base} with {plural(known.fewest, 'worker')}, times workers."]
    return data.sheet(figure, _title(data, known), shown, COLUMNS, missing=known.missing, notes=notes)


def efficiency(data: ChartData) -> Sheet:
    """Throughput per worker, and per process where servers take more of them, as shares of a lone worker's."""
    known = _read(data)
    shown = known.shown[known.shown["strategy"] != "single"]
    if shown.empty:
        raise Absent("only the yardstick ran, which has no workers")
    panels = {"workers": "per worker"}
    if (shown["processes"] != shown["workers"]).any():
        panels["processes"] = "per process: servers count"
    figure = blank()
    many = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (per, words) in zip(many, panels.items(), strict=True):
        share = 1 / (shown[per] * known.alone)
        dots: Any = [[rate * one for rate in rates] for rates, one in zip(shown["repeats"], share, strict=True)]
        points = shown.assign(x=shown["workers"], y=shown["samples_per_second"] * share, dots=dots)
        ends = draw_lines(axes, points.drop(columns="predicted"))
        _worker_axis(axes, known.counts)
        axes.axhline(1.0, color=INK, linestyle=DOTTED, linewidth=1.2, zorder=1)
        axes.set_title(words if len(panels) > 1 else "", fontsize=10.5, loc="left", color=INK)
    most = (shown["repeats"].map(max) / shown["workers"]).max() / known.alone
    percent(many[0].yaxis, 1.08 * max(1.0, most))
    name_ends(many[-1], ends)
    many[0].set_ylabel(f"share of {known.base} with {plural(known.fewest, 'worker')}", fontsize=9.5)
    return data.sheet(figure, _efficiency_title(known), shown, COLUMNS, missing=known.missing)


def _read(data: ChartData) -> _Scaling:
    rows = data.along("workers", "workers")
    if rows["contest"].nunique() < 2:  # the batch may grow with the workers
        rows = data.along("workers", "workers", "batch")
    if rows["contest"].nunique() < 2:
        raise Absent("all runs have the same number of workers")
    shown, missing = data.timed(rows)
    fewest = int(rows["workers"].min())
    first = shown[shown["workers"] == fewest].drop_duplicates("strategy", keep="last")
    if first.empty:
        raise Absent(f"no run with {plural(fewest, 'worker')} has a throughput")
    # The ceiling, else the fastest; the yardstick is a worker like others only where workers are alone.
    order = first.assign(ceiling=first["strategy"] == "noop", worker=(first["strategy"] != "single") | (fewest == 1))
    base: Any = order.sort_values(["ceiling", "worker", "samples_per_second"], kind="stable").iloc[-1]
    alone = base.samples_per_second / fewest
    rate = shown["samples_per_second"] / alone
    shown = shown.assign(
        ideal=alone * shown["workers"],
        efficiency_per_worker=rate / shown["workers"],
        efficiency_per_process=rate / shown["processes"],
    )
    return _Scaling(shown, missing, fewest, alone, base.label)


def _worker_axis(axes: Axes, counts: Sequence[int]) -> None:
    """A tick at each count; logarithmic where they span much."""
    if counts[-1] > 10 * counts[0]:
        axes.set_xscale("log", base=2)
        axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.1)
    else:
        axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_xticks(counts, [f"{count}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("workers")


def _throughput_axis(axes: Axes, known: _Scaling, ideal: float) -> None:
    rates = known.shown["repeats"].explode().astype(float)
    if axes.get_xscale() == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.set_ylim(rates.min() / 1.3, 1.5 * rates.max())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, min(1.05 * max(ideal, rates.max()), 1.6 * rates.max()))
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylabel("samples per second")


def _name_lines(axes: Axes, known: _Scaling, ends: Sequence[End]) -> None:
    """Name every line at its end, and the ideal where it leaves the picture if it does."""
    high, most = axes.get_ylim()[1], known.counts[-1]
    if known.alone * most <= high:
        name_ends(axes, [*ends, (most, known.alone * most, "ideal", INK)])
        return
    name_ends(axes, ends)
    place = (high / known.alone, high)
    axes.annotate("ideal", place, (5, -4), textcoords="offset points", va="top", fontsize=9.5, color=FAINT)


def _most(known: _Scaling) -> pd.DataFrame:
    """The contenders with the most workers, the fastest first."""
    shown = known.shown[known.shown["contends"] & (known.shown["workers"] == known.counts[-1])]
    return shown.sort_values("samples_per_second", ascending=False, kind="stable")


def _title(data: ChartData, known: _Scaling) -> str:
    """How throughput grows. If no entry ran with the fewest and the most workers: how far the fastest came."""
    contests = [data.comparison.contests[place] for place in known.shown["contest"].unique()]
    if words := growth(contests):
        return words
    most = _most(known)
    if most.empty:
        return "Throughput against workers, without a strategy to compare"
    best = most.iloc[0]
    rate = human_count(best["samples_per_second"])
    return f"{best['label']}: {rate} samples/s with {plural(best['workers'], 'worker')}"


def _efficiency_title(known: _Scaling) -> str:
    most = _most(known)
    if most.empty:
        return "Efficiency, without a strategy to compare"
    best, worst = most.iloc[0], most.iloc[-1]
    line = f"With {known.counts[-1]} workers each does {best['efficiency_per_worker']:.0%} ({best['label']}) "
    line += f"to {worst['efficiency_per_worker']:.0%} ({worst['label']}) " if len(most) > 1 else ""
    return line + f"of what one of {known.base} does {'alone' if known.fewest == 1 else f'among {known.fewest}'}"
