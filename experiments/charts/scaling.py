"""Sweeps: throughput against workers and servers, and the time of synchronisation against the size of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from common.runtime.job import COLOCATED
from experiments.charts import layout
from experiments.charts.data import ROLES, Absent, ChartData
from experiments.charts.export import Sheet
from experiments.charts.layout import size_tick
from experiments.charts.style import FAINT, INK, look, records
from experiments.comparison.model import Entry
from experiments.comparison.wording import growth
from experiments.format.units import human_count
from experiments.format.words import plural
from experiments.runs.labels import bound
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

IDEAL: dict[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.2, "zorder": 1}
EFFICIENCIES = ("efficiency_per_worker", "efficiency_per_process")
COLUMNS = ("workers", "processes", "samples_per_second", "low", "high", "ideal", "predicted", *EFFICIENCIES, "repeats")
SIZE_COLUMNS = ("bytes", "seconds", "value", "predicted_seconds", "repeats_seconds")


@dataclass(frozen=True)
class _Scaling:
    shown: pd.DataFrame  # entries of several contests, fewest workers first
    missing: Sequence[str]
    counts: Sequence[int]  # of workers
    fewest: int  # workers, also of entries without a throughput
    alone: float  # samples/s of one worker that synchronises with nobody, measured with the fewest workers
    base: str  # label of the entry with that throughput

    @property
    def most(self) -> pd.DataFrame:
        """The contenders with the most workers, the fastest first."""
        shown = self.shown[self.shown["contends"] & (self.shown["workers"] == self.counts[-1])]
        return shown.sort_values("samples_per_second", ascending=False, kind="stable")


def scaling(data: ChartData) -> Sheet:
    """Samples/s against workers, with the ideal. Absent unless runs differ in their number of workers."""
    known = _read(data)
    shown, most = known.shown, known.counts[-1]
    figure, axes = layout.slide()
    points = shown.assign(x=shown["workers"], y=shown["samples_per_second"], dots=shown["repeats"])
    ends = layout.draw_lines(axes, points)
    _worker_axis(axes, known.counts)
    ideal = [known.alone * workers for workers in known.counts]
    axes.plot(known.counts, ideal, **IDEAL)
    _throughput_axis(axes, shown["repeats"].explode().astype(float), ideal[-1])
    high = axes.get_ylim()[1]
    if ideal[-1] <= high:
        ends.append((most, ideal[-1], "ideal", INK))
    else:
        place = (high / known.alone, high)
        axes.annotate("ideal", place, (5, -4), textcoords="offset points", va="top", fontsize=9.5, color=FAINT)
    layout.name_ends(axes, ends)
    dots = "Each repeat is a dot. " if shown["repeats"].map(len).max() > 1 else ""
    dashed = "Dashed: predicted. " if shown["predicted"].notna().any() else ""
    notes = [f"{dots}{dashed}Ideal: {known.base} with {plural(known.fewest, 'worker')}, times workers."]
    title = growth([data.comparison.contests[place] for place in shown["contest"].unique()])
    if not title:  # no entry ran with the fewest and the most workers
        title = "Throughput against workers, without a strategy to compare"
        for best in records(known.most[:1]):
            title = f"{best.label}: {human_count(best.samples_per_second)} samples/s with {plural(most, 'worker')}"
    return data.sheet(figure, title, shown, COLUMNS, missing=known.missing, notes=notes)


def efficiency(data: ChartData) -> Sheet:
    """Throughput per worker, and per process where servers take more of them, as shares of a lone worker's."""
    known = _read(data)
    shown = known.shown[known.shown["strategy"] != "single"]
    if shown.empty:
        raise Absent("only the yardstick ran, which has no workers")
    panels = {"workers": ""}
    if (shown["processes"] != shown["workers"]).any():
        panels = {"workers": "per worker", "processes": "per process: servers count"}
    figure = layout.blank()
    many = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (per, words) in zip(many, panels.items(), strict=True):
        share = 1 / (shown[per] * known.alone)
        dots: Any = [[rate * one for rate in rates] for rates, one in zip(shown["repeats"], share, strict=True)]
        points = shown.assign(x=shown["workers"], y=shown["samples_per_second"] * share, dots=dots)
        ends = layout.draw_lines(axes, points.drop(columns="predicted"))
        _worker_axis(axes, known.counts)
        axes.axhline(1.0, **IDEAL)
        axes.set_title(words, fontsize=10.5)
    most = (shown["repeats"].map(max) / shown["workers"]).max() / known.alone
    many[0].yaxis.set_major_formatter("{x:.0%}")
    many[0].set_ylim(0, 1.08 * max(1.0, most))
    layout.name_ends(many[-1], ends)
    many[0].set_ylabel(f"share of {known.base} with {plural(known.fewest, 'worker')}", fontsize=9.5)
    return data.sheet(
        figure, "Throughput of a worker, as a share of what one does alone", shown, COLUMNS, missing=known.missing
    )


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
    shares = [rate / shown["workers"], rate / shown["processes"]]
    shown = shown.assign(ideal=alone * shown["workers"], **dict(zip(EFFICIENCIES, shares, strict=True)))
    return _Scaling(shown, missing, sorted(shown["workers"].unique().tolist()), fewest, alone, base.label)


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


def _throughput_axis(axes: Axes, rates: pd.Series[float], ideal: float) -> None:
    if axes.get_xscale() == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.set_ylim(rates.min() / 1.3, 1.5 * rates.max())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, min(1.05 * max(ideal, rates.max()), 1.6 * rates.max()))
    axes.yaxis.set_major_formatter(layout.thousands)
    axes.set_ylabel("samples per second")


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
    figure, axes = layout.slide()
    ends = layout.draw_lines(axes, points, by="line")
    counts = sorted(points["servers"].unique().tolist())
    axes.set_xlim(0, counts[-1] * 1.03)
    axes.set_xticks(counts, map(str, counts))
    axes.set_ylim(0, 1.1 * pd.concat([points, without])["repeats"].map(max).max())
    ends += [_level(axes, entry, counts[-1]) for entry in records(without)]
    axes.yaxis.set_major_formatter(layout.thousands)
    axes.set_ylabel("samples per second")
    axes.set_xlabel("servers")
    layout.name_ends(axes, ends)
    notes = ["Solid, filled: dedicated servers, in processes of their own; dashed, hollow: in the workers' processes."]
    notes += ["Level lines: without servers."] if len(without) else []
    columns = ("servers", "placement", "samples_per_second", "low", "high", "repeats")
    drawn = pd.concat([points, without])
    return data.sheet(figure, "Throughput against servers", drawn, columns, missing=missing, notes=notes)


def _line_name(run: Run) -> str:
    """The label of a run without its number of servers."""
    options = sorted(run.summary.strategy_options.items())
    words = [f"{key}={value}" for key, value in options if f"({value})" != bound(run)]
    return " ".join([run.strategy.rpartition(":")[2] + bound(run), *words, run.summary.placement or "dedicated"])


def _level(axes: Axes, entry: Any, most: int) -> layout.End:
    """A level line for an entry without servers."""
    own = look(entry)
    rate, dashes = entry.samples_per_second, "-." if entry.contends else ":"
    axes.axhline(rate, color=own.colour, linestyle=dashes, linewidth=1.3, zorder=2)
    if len(entry.repeats) > 1:
        axes.axhspan(min(entry.repeats), max(entry.repeats), color=own.colour, alpha=0.1, linewidth=0, zorder=1)
    return most * 1.03, rate, entry.name, own.ink


def size_time(data: ChartData) -> Sheet:
    """Seconds of synchronize in a step, hidden ones included. Absent unless models differ in size."""
    shown, missing = _read_sizes(data, lambda nbytes, seconds: seconds)
    return _sizes(
        data,
        shown,
        missing,
        "Time of synchronisation against the size of the model",
        "seconds of synchronize in a step",
        layout.seconds_tick,
    )


def size_bandwidth(data: ChartData) -> Sheet:
    """Bytes of the parameters by these seconds: what a user gets, whatever was sent."""
    shown, missing = _read_sizes(data, lambda nbytes, seconds: nbytes / seconds / 1e6)
    return _sizes(
        data,
        shown,
        missing,
        "Bandwidth of synchronisation against the size of the model",
        "MB of parameters a second",
        "{x:g}",
    )


def _read_sizes(data: ChartData, value: Callable[[Any, Any], Any]) -> tuple[pd.DataFrame, list[str]]:
    """Read the seconds, and add what is drawn: the `value` of a size and seconds, of all repeats and the prediction."""
    rows = data.along("bytes", "model", "data")
    if rows["contest"].nunique() < 2:
        raise Absent("all models have the same size")
    shown, missing = data.read(rows[~rows["strategy"].isin(ROLES)], _seconds, "how long it synchronised")
    nbytes = shown["bytes"].astype(int)
    values, ahead = value(nbytes, shown["seconds"]), value(nbytes, shown["predicted_seconds"])
    dots: Any = [value(size, np.array(each)) for size, each in zip(nbytes, shown["repeats_seconds"], strict=True)]
    return shown.assign(x=nbytes, value=values, y=values, dots=dots, predicted=ahead), missing


def _seconds(entry: Entry) -> list[dict[str, Any]] | None:
    stages = [(run, {} if run.within_train else stage_seconds_per_step(run)) for run in entry.runs]
    times = [times["synchronize"] + hidden_seconds_per_step(run) for run, times in stages if times]
    known = tuple(filter(None, times))
    return [{"seconds": median(known), "repeats_seconds": known}] if known else None


def _sizes(data: ChartData, shown: pd.DataFrame, missing: list[str], title: str, unit: str, tick: layout.Tick) -> Sheet:
    figure, axes = layout.slide()
    ends = layout.draw_lines(axes, shown)
    layout.size_axes(axes, sorted(shown["x"].unique().tolist()), size_tick, "bytes of the parameters (float32)")
    layout.value_axis(axes, unit, tick)
    layout.name_ends(axes, ends)
    repeats = shown["repeats_seconds"].map(len).max()
    notes = [f"Median of {repeats} repeats, each a dot."] if repeats > 1 else []
    notes += ["Dashed: predicted."] if shown["predicted"].notna().any() else []
    sheet = data.sheet(figure, title, shown, SIZE_COLUMNS, missing=missing, notes=notes)
    layout.thin_out(axes)
    return sheet
