"""Loss against the samples that were seen and against the seconds that passed, and the time to one loss."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.charts.data import Absent, ChartData, by_label
from experiments.charts.export import Sheet
from experiments.charts.layout import WHITE, bands, bar_end, slide, thousands, wrapped
from experiments.charts.style import FAINT, look, records
from experiments.charts.titles import learning
from experiments.comparison.model import Entry
from experiments.runs.loss_curves import Floats, loss_by_time, loss_curve, rounded_up, seconds_to_loss, smooth
from experiments.runs.run import Run

POINTS = 240  # of a line: more than a slide can show


def loss_vs_samples(data: ChartData) -> Sheet:
    """The smoothed training loss of the middle repeat, over that of each repeat. Absent without losses."""
    figure, axes, shown, missing, notes = _draw(data, "samples")
    axes.set_xlabel("samples seen by all workers together")
    axes.xaxis.set_major_formatter(thousands)
    compared = shown[shown["contends"]]
    final = compared[compared["drawn"] == "bold"].drop_duplicates("label", keep="last")
    title = learning(by_label(final, "loss"), synchronous=bool((compared["consistency"] == "bsp").all()))
    return data.sheet(figure, title, shown, ("repeat", "drawn", "samples", "loss"), missing=missing, notes=notes)


def loss_vs_seconds(data: ChartData) -> Sheet:
    """The same against the clock: seconds since the end of the first step. Absent without losses."""
    figure, axes, shown, missing, notes = _draw(data, "seconds")
    axes.set_xlabel("seconds since the end of the first step")
    goal = target(data, shown)
    if goal is not None and shown["contends"].any():
        low, high = axes.get_ylim()
        if low <= goal <= high:
            axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
            style: dict[str, Any] = {"ha": "right", "va": "center_baseline", "fontsize": 9, "color": FAINT}
            axes.text(0.998, goal, f"{goal:.3g}", transform=axes.get_yaxis_transform(), bbox=WHITE, **style)
    title = "Loss against time"
    return data.sheet(figure, title, shown, ("repeat", "drawn", "seconds", "loss"), missing=missing, notes=notes)


def time_to_loss(data: ChartData) -> Sheet:
    """Bars, the first to reach the loss on top; a hatched bar never reached it. Absent without losses."""
    goal = target(data, data.focus)
    if goal is None:
        raise Absent("no contender recorded losses")
    shown, missing = data.read(data.focus, lambda entry: _times(entry, goal), "losses")
    shown = shown.sort_values(["refused", "seconds", "final_loss"], kind="stable")
    figure, axes = slide()
    longest = max(_bar(axes, entry, y) for y, entry in enumerate(records(shown)))
    bands(axes, shown["short_name"])
    axes.set_xlim(0, 1.42 * longest or 1.0)
    repeats = shown["repeats"].map(len).max()
    several = f", median of {repeats} repeats, each a dot" if repeats > 1 else ""
    axes.set_xlabel(f"seconds to a training loss of {goal:.3g}{several}")
    notes = ["The loss is smoothed, and a mean over the workers; seconds count from the end of the first step."]
    notes += ["Each worker of noop learns alone, from its own samples."] * bool((shown["strategy"] == "noop").any())
    columns = ("loss", "seconds", "final_loss", "recorded_seconds", "repeats")
    title = f"Time to a training loss of {goal:.3g}"
    return data.sheet(figure, title, shown, columns, missing=missing, notes=notes)


def target(data: ChartData, shown: pd.DataFrame) -> float | None:
    """Return the loss asked for, else one a tenth above the middle contender's final one; None without losses."""
    if data.loss is not None:
        return data.loss
    curves = [loss_by_time(entry.run)[1] for entry in _contenders(data, shown)]
    final = [float(loss[-1]) for loss in curves if loss.size]
    return rounded_up(1.1 * median(final)) if final else None


def _contenders(data: ChartData, shown: pd.DataFrame) -> list[Entry]:
    return [data.entry(place) for place in shown.index[shown["contends"]].unique()]


def _draw(data: ChartData, against: str) -> tuple[Figure, Axes, pd.DataFrame, list[str], list[str]]:
    """Draw all curves; return the points, the labels of entries without any, and notes."""
    shown, missing = data.read(data.focus, lambda entry: _points(entry, against), "losses")
    figure, axes = slide()
    lines = shown.groupby("label", sort=False)
    for index, (_, line) in enumerate(lines):
        _line(axes, line, against, index / len(lines))
    loss_axis(axes, shown["loss"], steep=20)
    axes.set_xlim(0, 1.1 * shown[against].max() or 1.0)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0, handlelength=2.2)
    repeats = lines["repeat"].nunique().max()
    note = f"Strong lines are the repeats with the median throughput of {repeats}; pale ones are the others."
    return figure, axes, shown, missing, [note] if repeats > 1 else []


def _points(entry: Entry, against: str) -> list[dict[str, Any]] | None:
    """The points of each repeat with a curve; the middle repeat comes first and is drawn bold."""
    order = sorted(enumerate(entry.runs, 1), key=lambda numbered: numbered[1] is not entry.run)
    curves = [(number, curve) for number, run in order if len((curve := _curve(run, against))[0])]
    points = [
        {"repeat": number, "drawn": "faint" if place else "bold", against: x, "loss": loss}
        for place, (number, curve) in enumerate(curves)
        for x, loss in zip(*map(few, curve), strict=True)
    ]
    return points or None


def _curve(run: Run, against: str) -> tuple[Floats, Floats]:
    """Samples or seconds, and the smoothed loss: of each step, or of all workers at a time if steps may differ."""
    samples, seconds, loss = loss_curve(run)
    if against == "seconds" and run.summary.consistency not in ("bsp", "none"):
        x, loss = loss_by_time(run)
    elif loss.size:
        x, loss = samples if against == "samples" else seconds - seconds[:1], smooth(loss)
    else:
        x = loss
    finite = np.isfinite(x) & np.isfinite(loss)
    return x[finite], loss[finite]


def few(values: Floats) -> list[float]:
    """Return `POINTS` values of a long curve, the first and the last among them: it is smooth already."""
    at = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(int))
    found: list[float] = values[at].tolist()
    return found


def _line(axes: Axes, line: pd.DataFrame, against: str, offset: float) -> None:
    """Draw the curves of one entry, the yardstick as a pale band, with markers staggered where curves coincide."""
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
    marks |= {"color": own.colour, "mec": "white"}
    name = f"{first.label} (each on its own samples)" if first.strategy == "noop" else first["name"]
    axes.plot(x, y, linestyle=own.dashes, label=wrapped(name), zorder=2.5, **marks)
    axes.plot(x, y, linestyle="", zorder=3, **marks)  # over the lines of the others


def loss_axis(axes: Axes, losses: pd.Series[float], steep: float) -> None:
    """Scale the axis of losses: logarithmic if they fall by more than the factor `steep`."""
    low, high = losses.min(), losses.max()
    if low > 0 and high > steep * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 1.3)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high or 1.0)
    axes.set_ylabel("training loss, smoothed")


def _times(entry: Entry, goal: float) -> list[dict[str, Any]] | None:
    curves = [loss_by_time(run) for run in entry.runs]
    if not all(seconds.size for seconds, _ in curves):
        return None
    times = [math.inf if (seconds := seconds_to_loss(run, goal)) is None else seconds for run in entry.runs]
    middle = median(times) if sum(map(math.isfinite, times)) * 2 > len(times) else math.inf  # half never reached it
    row = {
        "loss": goal,
        "seconds": middle if math.isfinite(middle) else math.nan,
        "final_loss": float(loss_by_time(entry.run)[1][-1]),
        "recorded_seconds": max(float(seconds[-1]) for seconds, _ in curves),
        "repeats": tuple(seconds if math.isfinite(seconds) else "never" for seconds in times),
    }
    return [row]


def _bar(axes: Axes, entry: Any, y: int) -> float:
    """Draw one entry; return where its bar or its last dot ends."""
    times = [math.nan if seconds == "never" else seconds for seconds in entry.repeats]
    never = sum(map(math.isnan, times))
    reached, end = math.isfinite(entry.seconds), entry.seconds
    if reached:
        axes.barh(y, end, 0.68, **look(entry).bar)
        text = f"{end:.3g} s" + (f", {never} of {len(times)} not" if never else "")
    else:
        end = entry.recorded_seconds
        axes.barh(y, end, 0.68, facecolor="white", edgecolor=look(entry).colour, hatch="////")
        text = f"not reached: {entry.final_loss:.2g} after {end:.3g} s"
    return bar_end(axes, y, end, times, "not comparable" if entry.refused else text, entry.refused or not reached)
