"""How throughput grows with the number of workers, and how much of what lone workers would do is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.charts.export import Sheet
from experiments.charts.layout import End, blank, name_ends, percent, thousands
from experiments.charts.material import Absent, Material, Series, fact
from experiments.charts.style import FAINT, INK
from experiments.comparison import Contest
from experiments.comparison.wording import growth
from experiments.format.units import human_count
from experiments.format.words import plural

Line = list[tuple[int, Series]]  # one label: (workers, the entry there), fewest workers first


@dataclass(frozen=True)
class _Scaling:
    contests: Sequence[Contest]
    lines: Mapping[str, Line]
    missing: Sequence[str]
    fewest: int
    alone: float  # samples/s of one worker that synchronises with nobody, measured with the fewest workers
    whose: str  # throughput that is

    @property
    def counts(self) -> list[int]:
        return sorted({workers for line in self.lines.values() for workers, _ in line})

    @property
    def shown(self) -> list[Series]:
        return [series for line in self.lines.values() for _, series in line]


def scaling(material: Material) -> Sheet:
    """Samples/s against workers, with the ideal. Absent unless runs differ in their number of workers."""
    its = _read(material)
    figure = blank()
    axes = figure.subplots()
    ends = [_draw(axes, line, lambda s, _, rate: rate) for line in its.lines.values()]
    for line in its.lines.values():
        _predicted(axes, line, material)
    top = max(max(series.data) for series in its.shown)
    _workers(axes, its.counts)
    ideal = [its.alone * workers for workers in its.counts]
    axes.plot(its.counts, ideal, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.2, zorder=1)
    _heights(axes, its, top)
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylabel("samples per second")
    _name_ideal(axes, its, ends)
    dots = "Each repeat a dot. " if max(len(series.data) for series in its.shown) > 1 else ""
    dashed = "Dashed: predicted. " if material.predictions.rates else ""
    notes = [f"{dots}{dashed}Ideal: {its.whose} with {plural(its.fewest, 'worker')}, times workers."]
    return material.sheet(figure, _title(its), its.shown, _rows(its, material), missing=its.missing, notes=notes)


def efficiency(material: Material) -> Sheet:
    """Throughput per worker, and per process where servers take more of them, as shares of a lone worker's."""
    its = _read(material)
    its = replace(
        its, lines={label: line for label, line in its.lines.items() if line[0][1].entry.strategy != "single"}
    )
    if not its.lines:
        raise Absent("only the yardstick ran, which has no workers")
    more = any(_processes(series, workers) != workers for line in its.lines.values() for workers, series in line)
    figure = blank()
    many = figure.subplots(1, 2 if more else 1, sharey=True, squeeze=False)[0]
    for axes, per in zip(many, (_workers_in, _processes), strict=False):
        share = partial(_share, its, per)
        ends = [_draw(axes, line, share) for line in its.lines.values()]
        _workers(axes, its.counts)
        axes.axhline(1.0, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.2, zorder=1)
    most = max(max(series.data) / workers / its.alone for line in its.lines.values() for workers, series in line)
    percent(many[0].yaxis, 1.08 * max(1.0, most))
    name_ends(many[-1], ends)
    many[0].set_ylabel(f"share of {its.whose} with {plural(its.fewest, 'worker')}", fontsize=9.5)
    if more:
        many[0].set_title("per worker", fontsize=10.5, loc="left", color=INK)
        many[1].set_title("per process: servers count", fontsize=10.5, loc="left", color=INK)
    title = _efficiency_title(its)
    return material.sheet(figure, title, its.shown, _rows(its, material), missing=its.missing)


def _read(material: Material) -> _Scaling:
    contests = material.along(lambda contest: fact(contest, "workers"), "workers")
    if len(contests) < 2:  # the batch may grow with the workers
        contests = material.along(lambda contest: fact(contest, "workers"), "workers", "batch")
    if len(contests) < 2:
        raise Absent("all runs have the same number of workers")
    lines: dict[str, Line] = {}
    missing: list[str] = []
    for contest in contests:
        shown, none = material.read(contest.entries, lambda entry: entry.rates if any(entry.rates) else None, "rates")
        missing += none
        for series in shown:
            lines.setdefault(series.label, []).append((_workers_of(series, contest), series))
    fewest = int(fact(contests[0], "workers"))
    first = {s.entry.strategy: s for line in lines.values() for workers, s in line if workers == fewest}
    if not first:
        raise Absent(f"no run with {plural(fewest, 'worker')} has a throughput")
    lone = fewest == 1  # only then the yardstick is a worker like others
    base = first.get("noop") or max(
        first.values(), key=lambda s: (lone or s.entry.strategy != "single", s.entry.rate.middle)
    )
    return _Scaling(contests, lines, missing, fewest, base.entry.rate.middle / fewest, base.label)


def _workers_of(series: Series, contest: Contest) -> int:
    """Its own: what is not comparable may have had others than its contest."""
    return series.run.summary.workers


def _draw(axes: Axes, line: Line, value: Callable[[Series, int, float], float]) -> End:
    """Dots for repeats and a line through the medians; those that are not comparable are grey."""
    last = line[-1][1]
    for workers, s in line:
        if len(s.data) > 1:
            dots = [value(s, workers, rate) for rate in s.data]
            axes.plot([workers] * len(dots), dots, "o", color=s.colour, ms=3.5, mec=INK, mew=0.5, zorder=5)
    counts = [workers for workers, _ in line]
    medians = [value(s, workers, s.entry.rate.middle) for workers, s in line]
    axes.plot(counts, medians, linestyle=last.dashes, color=last.colour, linewidth=1.8, zorder=3)
    for workers, median, (_, s) in zip(counts, medians, line, strict=True):
        axes.plot([workers], [median], marker=s.marker, color=s.colour, ms=s.size, mec="white", mew=0.7, zorder=4)
    return counts[-1], medians[-1], last.name, last.ink


def _share(its: _Scaling, per: Callable[[Series, int], int], s: Series, workers: int, rate: float) -> float:
    return rate / per(s, workers) / its.alone


def _workers_in(series: Series, workers: int) -> int:
    return workers


def _predicted(axes: Axes, line: Line, material: Material) -> None:
    known = [(workers, rate) for workers, s in line if (rate := _rate(material, s, workers)) is not None]
    if known:
        counts, rates = zip(*known, strict=True)
        axes.plot(counts, rates, "--", color=line[0][1].colour, linewidth=1.1, marker="_", ms=12, alpha=0.8, zorder=2)


def _rate(material: Material, series: Series, workers: int) -> float | None:
    return material.predictions.rates.get((series.label, workers))


def _workers(axes: Axes, counts: Sequence[int]) -> None:
    """A tick at each count; logarithmic where they span much."""
    if counts[-1] > 10 * counts[0]:
        axes.set_xscale("log", base=2)
        axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.1)
    else:
        axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_xticks(counts, [f"{count}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("workers")


def _heights(axes: Axes, its: _Scaling, top: float) -> None:
    if axes.get_xscale() == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        low = min(min(rate for rate in series.data if rate) for series in its.shown)
        axes.set_ylim(low / 1.3, 1.5 * top)
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, min(1.05 * max(its.alone * its.counts[-1], top), 1.6 * top))


def _name_ideal(axes: Axes, its: _Scaling, ends: Sequence[End]) -> None:
    """Name the ideal where it ends, or where it leaves the picture, and every other line."""
    high = axes.get_ylim()[1]
    if its.alone * its.counts[-1] <= high:
        name_ends(axes, [*ends, (its.counts[-1], its.alone * its.counts[-1], "ideal", INK)])
        return
    name_ends(axes, ends)
    at = high / its.alone
    axes.annotate("ideal", (at, high), (5, -4), textcoords="offset points", va="top", fontsize=9.5, color=FAINT)


def _title(its: _Scaling) -> str:
    """How throughput grows; where nobody ran with the fewest and the most, how far the fastest came."""
    if told := growth(its.contests):
        return told
    most = its.counts[-1]
    there = [s for line in its.lines.values() for workers, s in line if workers == most and s.contends]
    if not there:
        return "Throughput against workers, without a strategy to compare"
    best = max(there, key=lambda s: s.entry.rate.middle)
    return f"{best.label}: {human_count(best.entry.rate.middle)} samples/s with {plural(most, 'worker')}"


def _efficiency_title(its: _Scaling) -> str:
    most = its.counts[-1]
    there = {
        s.label: s.entry.rate.middle / most / its.alone
        for line in its.lines.values()
        for workers, s in line
        if workers == most and s.contends
    }
    if not there:
        return "Efficiency, without a strategy to compare"
    best, worst = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
    line = f"With {most} workers each does {there[best]:.0%} ({best}) "
    line += f"to {there[worst]:.0%} ({worst}) " if best != worst else ""
    return line + f"of what one of {its.whose} does {'alone' if its.fewest == 1 else f'among {its.fewest}'}"


def _processes(series: Series, workers: int) -> int:
    return series.run.summary.processes


def _rows(its: _Scaling, material: Material) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "workers": workers,
            "processes": _processes(s, workers),
            "samples_per_second": s.entry.rate.middle,
            "low": s.entry.rate.low,
            "high": s.entry.rate.high,
            "ideal": its.alone * workers,
            "predicted": _rate(material, s, workers),
            "efficiency_per_worker": s.entry.rate.middle / workers / its.alone if its.alone else math.nan,
            "efficiency_per_process": s.entry.rate.middle / _processes(s, workers) / its.alone,
            "repeats": s.data,
            "not_comparable": s.entry.refused,
        }
        for line in its.lines.values()
        for workers, s in line
    ]
