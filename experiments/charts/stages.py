"""Where the time of a step goes: the six stages, stacked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from common.records.stage_clock import STAGES
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, blank
from experiments.charts.material import Material, Series
from experiments.charts.style import ALARM, INK
from experiments.charts.titles import synchronisation
from experiments.comparison import Entry
from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_ms
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

Times = dict[str, float]  # seconds of each stage in a step, and of what is "hidden" in train


def stages(material: Material) -> Sheet:
    """Bars, the shortest step first: the repeat in the middle stacked, the steps of all repeats as dots."""
    contest = material.focus
    shown, missing = material.read(contest.entries, _all_times, "stage times")
    shown.sort(key=lambda s: _total(_times(s.run) or s.data[0]))
    figure = blank()
    axes = figure.subplots()
    middles = [_times(s.run) or s.data[0] for s in shown]
    _stack(axes, shown, middles)
    _texts(axes, shown, middles)
    bands(axes, [s.label if s.refused else s.name for s in shown])
    axes.set_xlim(0, 1.42 * max(1e3 * _total(times) for s in shown for times in s.data))
    axes.set_xlabel("milliseconds per step: mean over steps and workers, without warm-up")
    _legend(axes)
    told = {
        s.label: times["synchronize"] / _total(times)
        for s, times in zip(shown, middles, strict=True)
        if s.contends and not s.run.within_train
    }
    repeats = max(len(s.data) for s in shown)
    notes = ["Bars add up the stages; ms/step in tables is batch ÷ (samples/s), so it has the time between them, too."]
    if any(_beyond(s.run, times) for s, times in zip(shown, middles, strict=True)):
        notes += ["It is less than the bar where fast workers do not wait for slow ones."]
    if repeats > 1:
        notes += [
            f"A bar is the repeat with the median throughput of {repeats}; a dot is the step time of each repeat."
        ]
    rows = _rows(shown, middles)
    return material.sheet(
        figure, synchronisation(told), shown, rows, missing=missing, notes=[*notes, *material.only(contest)]
    )


def _times(run: Run) -> Times | None:
    times = stage_seconds_per_step(run)
    if not times or not math.fsum(times.values()):
        return None
    return {**times, "hidden": hidden_seconds_per_step(run)}


def _all_times(entry: Entry) -> list[Times] | None:
    return [times for run in entry.runs if (times := _times(run)) is not None] or None


def _total(times: Times) -> float:
    """Of a step: what is hidden is part of train."""
    return math.fsum(times[stage] for stage in STAGES)


def _beyond(run: Run, times: Times) -> bool:
    """Whether the mean step over the workers is longer than what the job takes for a batch."""
    rate, batch = run.summary.samples_per_second, run.summary.batch
    return bool(rate and batch) and _total(times) > 1.02 * (batch or 0.0) / (rate or 1.0)


def _stack(axes: Axes, shown: list[Series], middles: list[Times]) -> None:
    y, left = np.arange(len(shown)), np.zeros(len(shown))
    for stage in STAGES:
        width = np.array([1e3 * times[stage] for times in middles])
        bars = axes.barh(y, width, 0.68, left, color=STAGE_COLOURS[stage], label=stage)
        for bar, s in zip(bars, shown, strict=True):
            bar.set_alpha(0.3 if s.refused else 1.0)
        left += width
        if stage == "train":
            _hidden(axes, middles, left)
    for at, s in zip(y, shown, strict=True):
        if len(s.data) > 1:
            ends = [1e3 * _total(times) for times in s.data]
            axes.plot(ends, [at] * len(ends), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)


def _hidden(axes: Axes, middles: list[Times], ended: Any) -> None:
    """Hatch the part of `train`, which has `ended` there (milliseconds), beside which synchronisation ran."""
    hidden = np.array([1e3 * times["hidden"] for times in middles])
    if hidden.any():
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": STAGE_COLOURS["synchronize"], "hatch": "////"}
        axes.barh(range(len(middles)), hidden, 0.68, ended - hidden, label="synchronize, hidden", linewidth=0, **look)


def _texts(axes: Axes, shown: list[Series], middles: list[Times]) -> None:
    for y, (s, times) in enumerate(zip(shown, middles, strict=True)):
        total = _total(times)
        part = "synchronize in train" if s.run.within_train else f"{times['synchronize'] / total:.0%} synchronize"
        end = 1e3 * max(total, *map(_total, s.data))
        beside(
            axes,
            end,
            y,
            f"{human_ms(total)} ms, {'not comparable' if s.refused else part}",
            ALARM if s.refused else INK,
        )


def _legend(axes: Axes) -> None:
    """One line above the axes that begins at the figure's edge: it fits whatever room the labels of the runs take."""
    axes.set_title(" ", fontsize=13)  # keeps the room for it
    at = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    look: dict[str, Any] = {"ncols": 7, "columnspacing": 1.0, "handlelength": 1, "handletextpad": 0.5, "fontsize": 9}
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0.012, 1), bbox_transform=at, **look)
    legend.set_in_layout(False)


def _rows(shown: list[Series], middles: list[Times]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            **{f"{stage}_seconds": times[stage] for stage in STAGES},
            "hidden_synchronize_seconds": times["hidden"],
            "step_seconds": _total(times),
            "repeats_step_seconds": [_total(each) for each in s.data],
            "not_comparable": s.entry.refused,
        }
        for s, times in zip(shown, middles, strict=True)
    ]
