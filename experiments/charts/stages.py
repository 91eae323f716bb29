"""The time of a step by its six stages, stacked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from common.records.stage_clock import STAGES
from experiments.charts.data import ChartData, by_label, records
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, dots, slide
from experiments.charts.style import ALARM, INK
from experiments.charts.titles import synchronisation
from experiments.comparison.model import Entry
from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_ms
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

HIDDEN = "hidden_synchronize_seconds"
COLUMNS = (*(f"{stage}_seconds" for stage in STAGES), HIDDEN, "step_seconds", "repeats_step_seconds")


def stages(data: ChartData) -> Sheet:
    """Bars, the shortest step first: the stages of the middle repeat, the steps of all repeats as dots.

    Absent without stage times.
    """
    shown, missing = data.read(data.focus, _read, "stage times")
    shown = shown.sort_values("step_seconds", kind="stable")
    figure, axes = slide()
    _stack(axes, shown)
    for y, entry in enumerate(records(shown)):
        _texts(axes, entry, y)
    bands(axes, shown["short_name"])
    axes.set_xlim(0, 1.42e3 * shown["repeats_step_seconds"].map(max).max())
    axes.set_xlabel("milliseconds per step: mean over steps and workers, without warm-up")
    _legend(axes)
    shares = shown.assign(share=shown["synchronize_seconds"] / shown["step_seconds"])
    title = synchronisation(by_label(shares[shown["contends"] & ~shown["within_train"]], "share"))
    repeats = shown["repeats_step_seconds"].map(len).max()
    notes = ["Bars add up the stages; ms/step in tables is batch ÷ (samples/s), so it has the time between them, too."]
    notes += ["It is less than the bar where fast workers do not wait for slow ones."] * bool(shown["longer"].any())
    if repeats > 1:
        notes += [f"A bar is the repeat with the median throughput of {repeats}; a dot is the step time of a repeat."]
    return data.sheet(figure, title, shown, COLUMNS, missing=missing, notes=notes)


def _read(entry: Entry) -> list[dict[str, Any]] | None:
    known = [times for run in entry.runs if (times := _seconds(run)) is not None]
    if not known:
        return None
    middle = _seconds(entry.run) or known[0]
    return [{**middle, "repeats_step_seconds": tuple(times["step_seconds"] for times in known)}]


def _seconds(run: Run) -> dict[str, Any] | None:
    """Seconds of the stages in a step of the run; of the hidden part of synchronisation, which is in train; the sum.

    `longer`: the mean step of the workers is longer than the job takes for a batch.
    """
    times = stage_seconds_per_step(run)
    if not times or not (total := math.fsum(times.values())):
        return None
    rate = run.summary.samples_per_second
    return {
        **{f"{stage}_seconds": seconds for stage, seconds in times.items()},
        HIDDEN: hidden_seconds_per_step(run),
        "step_seconds": total,
        "longer": bool(rate) and total > 1.02 * run.summary.batch / (rate or 1.0),
    }


def _stack(axes: Axes, shown: pd.DataFrame) -> None:
    y, left = np.arange(len(shown)), np.zeros(len(shown))
    for stage in STAGES:
        width = 1e3 * shown[f"{stage}_seconds"].to_numpy(float)
        bars = axes.barh(y, width, 0.68, left, color=STAGE_COLOURS[stage], label=stage)
        for bar, refused in zip(bars, shown["refused"], strict=True):
            bar.set_alpha(0.3 if refused else 1.0)
        left += width
        if stage == "train" and shown[HIDDEN].any():
            hidden = 1e3 * shown[HIDDEN].to_numpy(float)
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": STAGE_COLOURS["synchronize"], "hatch": "////"}
            axes.barh(y, hidden, 0.68, left - hidden, label="synchronize, hidden", linewidth=0, **look)


def _texts(axes: Axes, entry: Any, y: int) -> None:
    ends = [1e3 * seconds for seconds in entry.repeats_step_seconds]
    dots(axes, ends, y)
    total = entry.step_seconds
    share = "synchronize in train" if entry.within_train else f"{entry.synchronize_seconds / total:.0%} synchronize"
    text = f"{human_ms(total)} ms, {'not comparable' if entry.refused else share}"
    beside(axes, max(1e3 * total, *ends), y, text, ALARM if entry.refused else INK)


def _legend(axes: Axes) -> None:
    """One line above the axes that begins at the figure's edge: it fits whatever room the labels of the runs take."""
    axes.set_title(" ", fontsize=13)  # keeps the room for it
    at = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    look: dict[str, Any] = {"ncols": 7, "columnspacing": 1.0, "handlelength": 1, "handletextpad": 0.5, "fontsize": 9}
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0.012, 1), bbox_transform=at, **look)
    legend.set_in_layout(False)
