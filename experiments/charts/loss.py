"""Loss against the samples that were seen, and against the seconds that passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.charts.export import Sheet
from experiments.charts.layout import blank, side_legend, thousands, wrapped
from experiments.charts.loss_targets import goal_of, race, times_to
from experiments.charts.material import Material, Series
from experiments.charts.style import FAINT
from experiments.charts.titles import learning
from experiments.comparison import Entry
from experiments.runs.loss_curves import Floats, loss_by_time, loss_curve, smooth
from experiments.runs.run import Run

POINTS = 240  # of a line: more than a slide can show
Curve = tuple[Floats, Floats]  # x and the smoothed loss
Curves = list[tuple[int, Curve]]  # of the repeats that have one, by their number; that in the middle comes first


def loss_vs_samples(material: Material) -> Sheet:
    """The smoothed training loss of the repeat in the middle, over that of each repeat. Absent without losses."""
    figure, axes, shown, missing = _draw(material, _by_samples)
    axes.set_xlabel("samples seen by all workers together")
    axes.xaxis.set_major_formatter(thousands)
    final = {s.label: float(s.data[0][1][1][-1]) for s in shown if s.contends}
    synchronous = all(s.run.summary.consistency == "bsp" for s in shown if s.contends)
    title = learning(final)
    if not synchronous:
        title = title.replace("all synchronous strategies", "all strategies")
    rows = _rows(shown, "samples")
    return material.sheet(
        figure, title, shown, rows, missing=missing, notes=[*_notes(shown), *material.only(material.focus)]
    )


def loss_vs_seconds(material: Material) -> Sheet:
    """The same against the clock: seconds since the end of the first step. Absent without losses."""
    figure, axes, shown, missing = _draw(material, _by_seconds)
    axes.set_xlabel("seconds since the end of the first step")
    contenders = [s for s in shown if s.contends]
    goal = material.loss if material.loss is not None else goal_of(s.entry for s in shown)
    title, notes = "Loss against time", _notes(shown)
    if goal is not None and contenders:
        _mark(axes, goal)
        title = race(goal, {s.label: times_to(s.entry, goal) for s in contenders})
        notes += ["Times in the title are medians of all."] if notes else []
    rows = _rows(shown, "seconds")
    return material.sheet(figure, title, shown, rows, missing=missing, notes=[*notes, *material.only(material.focus)])


def _draw(material: Material, read: Callable[[Run], Curve | None]) -> tuple[Any, Axes, list[Series], list[str]]:
    shown, missing = material.read(material.focus.entries, lambda entry: _curves(entry, read), "losses")
    figure = blank()
    axes = figure.subplots()
    for index, series in enumerate(shown):
        _line(axes, series, index, len(shown))
    _limits(axes, shown)
    axes.set_ylabel("training loss, smoothed")
    side_legend(axes)
    return figure, axes, shown, missing


def _curves(entry: Entry, read: Callable[[Run], Curve | None]) -> Curves | None:
    order = [entry.run, *(run for run in entry.runs if run is not entry.run)]
    numbers = {id(run): number for number, run in enumerate(entry.runs, 1)}
    found = [(numbers[id(run)], _few(*curve)) for run in order if (curve := read(run)) is not None]
    return found or None


def _by_samples(run: Run) -> Curve | None:
    samples, _, loss = loss_curve(run)
    return _finite(samples, smooth(loss)) if loss.size else None


def _by_seconds(run: Run) -> Curve | None:
    """The mean of what workers have at a time, where they may be at different steps; else that of each step."""
    if run.summary.consistency not in ("bsp", "none"):
        return _finite(*loss_by_time(run))
    _, seconds, loss = loss_curve(run)
    return _finite(seconds - seconds[:1], smooth(loss)) if loss.size else None


def _finite(x: Floats, loss: Floats) -> Curve | None:
    good = np.isfinite(x) & np.isfinite(loss)
    return (x[good], loss[good]) if good.any() else None


def _few(x: Floats, loss: Floats) -> Curve:
    """Of a long curve `POINTS` points, the first and the last among them: it is smooth already."""
    at = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
    return x[at], loss[at]


def _line(axes: Axes, s: Series, index: int, count: int) -> None:
    """Curves that coincide are the point of the comparison: the yardstick is a wide pale band below the others, and
    markers lie on top and are staggered, so that each can be seen."""
    (_, (x, y)), *others = s.data
    for _, (x_other, y_other) in others:
        axes.plot(x_other, y_other, color=s.colour, alpha=0.35, linewidth=0.8, zorder=1.8)
    if s.entry.strategy == "single":
        axes.plot(x, y, color=s.colour, label=wrapped(s.name), linewidth=8, alpha=0.2, zorder=1.5)
        return
    every = max(1, len(y) // 8)
    marks: dict[str, Any] = {
        "marker": s.marker,
        "markevery": (index * every // count, every),
        "ms": s.size,
        "mec": "white",
    }
    alone = " (each on its own samples)" if s.entry.strategy == "noop" else ""
    name = s.label + alone if alone else s.name
    axes.plot(x, y, linestyle=s.dashes, color=s.colour, label=wrapped(name), zorder=2.5, **marks)
    axes.plot(x, y, linestyle="", color=s.colour, zorder=3, **marks)  # over the lines of the others


def _limits(axes: Axes, shown: Sequence[Series]) -> None:
    every = np.concatenate([y for s in shown for _, (_, y) in s.data])
    low, high = float(every.min()), float(every.max())
    if low > 0 and high > 20 * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 1.3)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high or 1.0)
    axes.set_xlim(0, 1.1 * max(float(x[-1]) for s in shown for _, (x, _) in s.data) or 1.0)


def _mark(axes: Axes, goal: float) -> None:
    """A level line, if it is in the picture."""
    low, high = axes.get_ylim()
    if low <= goal <= high:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        look: dict[str, Any] = {"ha": "right", "va": "center_baseline", "fontsize": 9, "color": FAINT, "bbox": box}
        axes.text(0.998, goal, f"{goal:.3g}", transform=axes.get_yaxis_transform(), **look)  # where no curve gets to


def _notes(shown: Sequence[Series]) -> list[str]:
    repeats = max(len(s.data) for s in shown)
    words = f"Strong lines are the repeats with the median throughput of {repeats}; pale ones are the others."
    return [words] if repeats > 1 else []


def _rows(shown: Sequence[Series], against: str) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "repeat": number,
            "drawn": "bold" if place == 0 else "faint",
            against: float(x),
            "loss": float(y),
            "not_comparable": s.entry.refused,
        }
        for s in shown
        for place, (number, (xs, ys)) in enumerate(s.data)
        for x, y in zip(xs, ys, strict=True)
    ]
