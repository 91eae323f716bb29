"""The charts of a comparison, slide-sized. matplotlib is imported by this kind of module only.

A chart draws on one pair of axes what the runs recorded, and returns its title: a sentence about these very numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from common.stages import STAGES
from experiments.labels import labels
from experiments.learning import loss_by_time
from experiments.repeats import Rates, clear_winner
from experiments.results import (
    STAGE_COLOURS,
    Floats,
    Run,
    ceiling,
    hidden_seconds_per_step,
    human_count,
    human_ms,
    loss_curve,
    smooth,
    stage_seconds_per_step,
)
from experiments.sentences import conditions, fastest, hub, hubs, learning, learning_time, synchronisation
from experiments.slide import blank, frame
from experiments.style import FAINT, FORMATS, INK, RC, style


@dataclass(frozen=True)
class _Series:
    """One run in one chart, and what the chart shows of it."""

    label: str
    run: Run
    data: Any
    rates: Sequence[float] = ()  # samples/s of all repeats, of which this run is the one in the middle

    @property
    def name(self) -> str:
        """The label, and the part that this run plays where it is not one of those compared."""
        return self.label + {"single": " (yardstick)", "noop": " (ceiling)"}.get(self.run.strategy, "")

    @property
    def colour(self) -> str:
        return style(self.run.strategy)[0]

    @property
    def contends(self) -> bool:
        """Neither the ceiling nor the yardstick."""
        return self.run.strategy not in ("noop", "single")


@dataclass(frozen=True)
class _Chart:
    """`read` gets the data of a run, None if it has none; `draw` shows those that have and returns the title."""

    what: str
    read: Callable[[Run], Any]
    draw: Callable[[Axes, list[_Series]], str]


def plot_runs(
    runs: Sequence[Run], out_dir: str | Path, note: str = "", rates: Rates = MappingProxyType({})
) -> list[Path]:
    """Write each chart of `CHARTS` as PNG and SVG into `out_dir` (made if need be) and return the files.

    Runs that lack what a chart needs are named in it. `note` is the footer, for example what the ranks share; `rates`
    are the samples/s of all repeats of a strategy, of which the run given is the one in the middle.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for name, chart in CHARTS.items():
        series = [
            _Series(label, run, chart.read(run), rates.get(run.strategy, ()))
            for label, run in zip(labels(runs), runs, strict=True)
        ]
        with mpl.rc_context(RC):
            figure = _figure(chart, series, note)
            for suffix, metadata in FORMATS.items():
                files.append(out_dir / f"{name}.{suffix}")
                figure.savefig(files[-1], dpi=160, metadata=metadata)
    return files


def _figure(chart: _Chart, series: list[_Series], note: str) -> Figure:
    figure = blank()
    axes = figure.subplots()
    shown = [s for s in series if s.data is not None]
    if shown:
        title = chart.draw(axes, shown)
    else:
        title = f"No data on {chart.what}"
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"no run recorded {chart.what}", ha="center", transform=axes.transAxes)
    missing = ((s.label, "not recorded" if s.run.status == "ok" else s.run.status) for s in series if s.data is None)
    why = ", ".join(f"{label} ({reason})" for label, reason in missing)
    footer = [(line, "#B00020") for line in wrap(f"Not shown: {why}", 150) if why]
    footer += [(line, FAINT) for line in wrap(note, 150)]
    frame(figure, title, conditions([s.run for s in series]), footer)
    return figure


def _bands(axes: Axes, series: Sequence[_Series]) -> None:
    """One horizontal band a run, the first on top, with its name at the left."""
    axes.set_yticks(range(len(series)), [s.name for s in series], color=INK)
    axes.set_ylim(len(series) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # keeps lines out of the text
    axes.annotate(text, (x, y), (6, 0), textcoords="offset points", va="center_baseline", fontsize=10.5, bbox=box)


def _thousands(value: float, _: float) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def _throughput(axes: Axes, series: list[_Series]) -> str:
    series.sort(key=lambda s: -s.data)
    runs = [s.run for s in series]
    ceilings = [s for s in series if s.run.strategy == "noop"]
    # One ceiling over everything is a line; where there are several, or it is not everyone's, it is a bar.
    line = ceilings[0] if len(ceilings) == 1 and all(ceiling(run, runs) for run in runs) else None
    bars = [s for s in series if s is not line]
    repeats = max(len(s.rates) for s in series)
    for y, s in enumerate(bars):
        axes.plot(s.rates, [y] * len(s.rates), "o", color="black", markersize=4, zorder=3)
        hollow: dict[str, Any] = {"facecolor": "white", "edgecolor": s.colour, "hatch": "////"}
        axes.barh(y, s.data, 0.68, **({"facecolor": s.colour} if s.contends else hollow))
        top = ceiling(s.run, runs) if s.contends else None  # nothing bounds the yardstick
        _beside(
            axes,
            max(s.data, *s.rates, 0),
            y,
            human_count(s.data) + (f"   {s.data / top:.0%} of the ceiling" if top else ""),
        )
    _bands(axes, bars)
    axes.set_xlim(0, 1.25 * max(max(s.data, *s.rates, 0) for s in series))
    axes.xaxis.set_major_formatter(_thousands)
    what = f"median of {repeats} interleaved repeats, each a dot" if repeats > 1 else "one run a bar"
    axes.set_xlabel(f"samples per second without warm-up, {what}")
    if line:
        axes.axvline(line.data, color=line.colour, linestyle="--", zorder=0)
        text = f"{line.label}, no synchronisation: the ceiling, {human_count(line.data)}"
        axes.text(line.data, 1.01, text, ha="center", fontsize=9.5, transform=axes.get_xaxis_transform())
    best = next((s for s in bars if s.contends), None)
    contenders = {s.run.strategy: s.rates for s in bars if s.contends and s.rates}
    if best and len(contenders) > 1 and not clear_winner(contenders, best.run.strategy):
        return f"No clear winner: {best.label} leads, but repeats overlap"
    return fastest({s.label: s.data for s in bars if s.contends}, ceiling(best.run, runs) if best else None)


def _stage_times(run: Run) -> dict[str, float] | None:
    times = stage_seconds_per_step(run)
    return times if times and sum(times.values()) > 0 else None


def _hidden(axes: Axes, series: Sequence[_Series], ended: Floats) -> None:
    """Hatch the part of `train`, which has `ended` there (milliseconds), beside which synchronisation ran."""
    hidden = np.array([1e3 * hidden_seconds_per_step(s.run) for s in series])
    if hidden.any():
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": STAGE_COLOURS["synchronize"], "hatch": "////"}
        axes.barh(range(len(series)), hidden, 0.68, ended - hidden, label="synchronize, hidden", linewidth=0, **look)


def _stage_legend(axes: Axes) -> None:
    """One line above the axes that begins at the figure's edge: it fits whatever room the labels of the runs take."""
    axes.set_title(" ", fontsize=15)  # keeps the room for it
    at = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    look: dict[str, Any] = {"ncols": 7, "columnspacing": 1.2, "handlelength": 1}
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0.012, 1), bbox_transform=at, **look)
    legend.set_in_layout(False)


def _stages(axes: Axes, series: list[_Series]) -> str:
    series.sort(key=lambda s: math.fsum(s.data.values()))
    left = np.zeros(len(series))
    for stage in STAGES:
        width = np.array([1e3 * s.data[stage] for s in series])
        axes.barh(range(len(series)), width, 0.68, left, color=STAGE_COLOURS[stage], label=stage)
        left += width
        if stage == "train":
            _hidden(axes, series, left)
    share = [1e3 * s.data["synchronize"] / total for s, total in zip(series, left, strict=True)]
    for y, total in enumerate(left):
        part = "synchronize in train" if series[y].run.within_train else f"{share[y]:.0%} synchronize"
        _beside(axes, total, y, f"{human_ms(total / 1e3)} ms, {part}")
    _bands(axes, series)
    axes.set_xlim(0, 1.3 * left.max())
    axes.set_xlabel("milliseconds per step: mean over steps and workers, without warm-up")
    _stage_legend(axes)
    told = [s.contends and not s.run.within_train for s in series]
    return synchronisation({s.label: part for part, s, known in zip(share, series, told, strict=True) if known})


def _curve(run: Run) -> tuple[Floats, Floats, Floats] | None:
    curve = loss_curve(run)
    return curve if np.isfinite(curve[2]).any() else None


def _curve_after_first_step(run: Run) -> tuple[Floats, Floats, Floats] | None:
    """As `_curve`, on the clock; where workers are at different steps at a time, the mean of what they have then."""
    curve = _curve(run)
    if curve and run.summary.get("consistency") not in ("bsp", "none"):
        seconds, loss = loss_by_time(run)
        return np.empty(0), seconds, loss
    return (curve[0], curve[1] - curve[1][0], curve[2]) if curve else None


def _loss_vs_samples(axes: Axes, series: list[_Series]) -> str:
    final = _draw_losses(axes, series, "samples")
    shown = {s.label for s in series if s.run.strategy != "noop"}
    axes.set_xlabel("samples seen by all workers together")
    axes.xaxis.set_major_formatter(_thousands)
    return learning({label: loss for label, loss in final.items() if label in shown})


def _loss_vs_seconds(axes: Axes, series: list[_Series]) -> str:
    final = _draw_losses(axes, series, "seconds")
    axes.set_xlabel("seconds since the end of the first step, which pays for what is only done once")
    curves = {s.label: s.data for s in series if s.contends and final[s.label] < s.data[2][0]}  # those that learn
    if not curves:
        return learning_time(math.nan, {})
    goal = max(final[label] for label in curves)  # the lowest loss that all of them reach
    axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
    return learning_time(goal, {label: float(x[smooth(y) <= goal][0]) for label, (_, x, y) in curves.items()})


def _draw_losses(axes: Axes, series: Sequence[_Series], against: Literal["samples", "seconds"]) -> dict[str, float]:
    """A smoothed line over faint raw values for each run; returns the smoothed final losses.

    Curves that coincide are the point of the comparison: the yardstick is a wide pale band below the others, and the
    markers lie on top and are staggered, so that each can be seen.
    """
    smoothed = {s.label: smooth(s.data[2]) for s in series}
    for index, s in enumerate(series):
        x, y = s.data[0 if against == "samples" else 1], smoothed[s.label]
        every = max(1, len(y) // 8)
        marks: dict[str, Any] = {"marker": style(s.run.strategy)[1], "markevery": (index * every // len(series), every)}
        axes.plot(x, s.data[2], color=s.colour, alpha=1 / (len(series) + 4), linewidth=0.8)
        namesakes = sum(other.run.strategy == s.run.strategy for other in series[:index])
        dashes = ("-", "--", "-.", ":")[namesakes % 4]  # same strategy, same colour: options differ
        if s.run.strategy == "single":
            axes.plot(x, y, color=s.colour, label=s.name, linewidth=8, alpha=0.2, zorder=1.5)
        else:
            alone = " (each on its own samples)" if s.run.strategy == "noop" else ""
            axes.plot(x, y, dashes, color=s.colour, label=s.label + alone, **marks)
            axes.plot(x, y, color=s.colour, linestyle="", markersize=8, mec="white", zorder=3, **marks)
    finite = np.concatenate([y[np.isfinite(y)] for y in smoothed.values()])
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high > 20 * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 1.3)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high or 1.0)
    axes.set_xlim(left=0)
    axes.set_ylabel("training loss: each step (faint), smoothed")
    axes.legend(loc="upper right", ncols=1 + len(series) // 7)
    return {label: float(y[np.isfinite(y)][-1]) for label, y in smoothed.items()}


def _sent(run: Run) -> tuple[list[float], list[float]] | None:
    servers, workers = run.sent_per_step("server"), run.sent_per_step("worker")
    return (servers, workers) if servers or workers else None


def _traffic(axes: Axes, series: list[_Series]) -> str:
    series.sort(key=lambda s: -max(s.data[0] + s.data[1]))
    top = max(series[0].data[0] + series[0].data[1])
    unit, scale = ("MiB", 2**20) if top >= 2**20 else ("KiB", 2**10)
    server: dict[str, Any] = {"edgecolor": INK, "hatch": "////", "linewidth": 0.8}
    ratios: dict[str, float] = {}
    for y, s in enumerate(series):
        ranks = s.data[0] + s.data[1]
        height = 0.8 / len(ranks)
        at = [y - 0.4 + (index + 0.5) * height for index in range(len(ranks))]
        for index, value in enumerate(ranks):
            look = server if index < len(s.data[0]) else {}
            axes.barh(at[index], value / scale, 0.84 * height, facecolor=s.colour, **look)
        ratio, text = hub(*s.data)
        _beside(axes, max(ranks) / scale, at[np.argmax(ranks)] if ratio > 1.05 else y, text)
        ratios |= {s.label: ratio} if s.contends else {}
    _bands(axes, series)
    axes.set_xlim(0, 1.45 * (top / scale or 1.0))
    axes.set_xlabel(f"{unit} of payload sent per step, one bar a rank")
    if any(s.data[0] for s in series):
        axes.legend(handles=[Patch(fc="#BBBBBB", label="server", **server), Patch(fc="#BBBBBB", label="worker")])
    return hubs(ratios)


CHARTS = {
    "throughput": _Chart("throughput", lambda run: run.number("samples_per_second") or None, _throughput),
    "stages": _Chart("stage times", _stage_times, _stages),
    "loss_vs_samples": _Chart("losses", _curve, _loss_vs_samples),
    "loss_vs_seconds": _Chart("losses", _curve_after_first_step, _loss_vs_seconds),
    "traffic": _Chart("bytes sent", _sent, _traffic),
}
