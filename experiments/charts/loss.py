"""Loss against the samples that were seen, and against the seconds that passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.charts.data import ChartData, by_label
from experiments.charts.export import Sheet
from experiments.charts.layout import plain_tick, side_legend, slide, thousands, wrapped
from experiments.charts.loss_targets import race, target, times_to
from experiments.charts.style import FAINT, look
from experiments.charts.titles import learning
from experiments.comparison.model import Entry
from experiments.runs.loss_curves import Floats, loss_by_time, loss_curve, smooth
from experiments.runs.run import Run

POINTS = 240  # of a line: more than a slide can show
Curve = tuple[Floats, Floats]  # x and the smoothed loss


def loss_vs_samples(data: ChartData) -> Sheet:
    """The smoothed training loss of the middle repeat, over that of each repeat. Absent without losses."""
    figure, axes, shown, missing = _draw(data, "samples", _by_samples)
    axes.set_xlabel("samples seen by all workers together")
    axes.xaxis.set_major_formatter(thousands)
    compared = shown[shown["contends"]]
    final = compared[compared["drawn"] == "bold"].drop_duplicates("label", keep="last")
    title = learning(by_label(final, "loss"), synchronous=bool((compared["consistency"] == "bsp").all()))
    columns = ("repeat", "drawn", "samples", "loss")
    return data.sheet(figure, title, shown, columns, missing=missing, notes=_notes(shown))


def loss_vs_seconds(data: ChartData) -> Sheet:
    """The same against the clock: seconds since the end of the first step. Absent without losses."""
    figure, axes, shown, missing = _draw(data, "seconds", _by_seconds)
    axes.set_xlabel("seconds since the end of the first step")
    title, notes = "Loss against time", _notes(shown)
    contenders = [data.entry(place) for place in shown.index[shown["contends"]].unique()]
    goal = target(data, contenders)
    if goal is not None and contenders:
        _mark(axes, goal)
        title = race(goal, {entry.label: times_to(entry, goal) for entry in contenders})
        notes += ["Times in the title are medians of all."] if notes else []
    columns = ("repeat", "drawn", "seconds", "loss")
    return data.sheet(figure, title, shown, columns, missing=missing, notes=notes)


def _draw(
    data: ChartData, against: str, read: Callable[[Run], Curve | None]
) -> tuple[Figure, Axes, pd.DataFrame, list[str]]:
    shown, missing = data.read(data.focus, lambda entry: _points(entry, against, read), "losses")
    figure, axes = slide()
    lines = shown.groupby("label", sort=False)
    for index, (_, line) in enumerate(lines):
        _line(axes, line, against, index / len(lines))
    loss_axis(axes, shown["loss"], steep=20)
    axes.set_xlim(0, 1.1 * shown[against].max() or 1.0)
    side_legend(axes)
    return figure, axes, shown, missing


def _points(entry: Entry, against: str, read: Callable[[Run], Curve | None]) -> list[dict[str, Any]] | None:
    """The points of each repeat with a curve; the middle repeat comes first and is drawn bold."""
    order = sorted(enumerate(entry.runs, 1), key=lambda numbered: numbered[1] is not entry.run)
    curves = [(number, curve) for number, run in order if (curve := read(run)) is not None]
    points = [
        {"repeat": number, "drawn": "faint" if place else "bold", against: x, "loss": loss}
        for place, (number, curve) in enumerate(curves)
        for x, loss in zip(*map(few, curve), strict=True)
    ]
    return points or None


def _by_samples(run: Run) -> Curve | None:
    samples, _, loss = loss_curve(run)
    return _finite(samples, smooth(loss)) if loss.size else None


def _by_seconds(run: Run) -> Curve | None:
    """The mean over the workers at a time, if they may be at different steps then; else that of each step."""
    if run.summary.consistency not in ("bsp", "none"):
        return _finite(*loss_by_time(run))
    _, seconds, loss = loss_curve(run)
    return _finite(seconds - seconds[:1], smooth(loss)) if loss.size else None


def _finite(x: Floats, loss: Floats) -> Curve | None:
    finite = np.isfinite(x) & np.isfinite(loss)
    return (x[finite], loss[finite]) if finite.any() else None


def few(values: Floats) -> list[float]:
    """Return `POINTS` values of a long curve, the first and the last among them: it is smooth already."""
    at = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(int))
    found: list[float] = values[at].tolist()
    return found


def _line(axes: Axes, line: pd.DataFrame, against: str, offset: float) -> None:
    """Draw the curves of one entry.

    Curves that coincide are the point of the comparison. So the yardstick is a wide pale band below the others, and
    markers lie on top, staggered by `offset`, a share of their distance.
    """
    first: Any = line.iloc[0]
    own = look(first)
    for _, other in line[line["drawn"] == "faint"].groupby("repeat"):
        axes.plot(other[against], other["loss"], color=own.colour, alpha=0.35, linewidth=0.8, zorder=1.8)
    bold = line[line["drawn"] == "bold"]
    x, y = bold[against], bold["loss"]
    if first.strategy == "single":
        axes.plot(x, y, color=own.colour, label=wrapped(first["name"]), linewidth=8, alpha=0.2, zorder=1.5)
        return
    every = max(1, len(y) // 8)
    marks: dict[str, Any] = {"marker": own.marker, "markevery": (int(offset * every), every), "ms": own.size}
    name = f"{first.label} (each on its own samples)" if first.strategy == "noop" else first["name"]
    axes.plot(x, y, linestyle=own.dashes, color=own.colour, label=wrapped(name), zorder=2.5, mec="white", **marks)
    axes.plot(x, y, linestyle="", color=own.colour, zorder=3, mec="white", **marks)  # over the lines of the others


def loss_axis(axes: Axes, losses: pd.Series[float], steep: float) -> None:
    """Scale the axis of losses: logarithmic if they fall by more than the factor `steep`."""
    low, high = losses.min(), losses.max()
    if low > 0 and high > steep * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 1.3)
        axes.yaxis.set_major_formatter(plain_tick)
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high or 1.0)
    axes.set_ylabel("training loss, smoothed")


def _mark(axes: Axes, goal: float) -> None:
    """A level line, if it is in the picture; its number is where no curve gets to."""
    low, high = axes.get_ylim()
    if low <= goal <= high:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        style: dict[str, Any] = {"ha": "right", "va": "center_baseline", "fontsize": 9, "color": FAINT, "bbox": box}
        axes.text(0.998, goal, f"{goal:.3g}", transform=axes.get_yaxis_transform(), **style)


def _notes(shown: pd.DataFrame) -> list[str]:
    repeats = shown.groupby("label")["repeat"].nunique().max()
    words = f"Strong lines are the repeats with the median throughput of {repeats}; pale ones are the others."
    return [words] if repeats > 1 else []
