"""How long each entry took to one loss, and which entries never reached it."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes

from experiments.charts.data import Absent, ChartData, records
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, dots, slide
from experiments.charts.loss_targets import middle_time, race, target, times_to
from experiments.charts.style import ALARM, INK, look
from experiments.comparison.model import Entry
from experiments.runs.loss_curves import loss_by_time

COLUMNS = ("loss", "seconds", "final_loss", "recorded_seconds", "repeats")


def time_to_loss(data: ChartData) -> Sheet:
    """Bars, the first to reach the loss on top. An entry that never did has a hatched bar as long as its run.

    Absent without losses.
    """
    goal = target(data, map(data.entry, data.focus.index))
    if goal is None:
        raise Absent("no contender recorded losses")
    shown, missing = data.read(data.focus, lambda entry: _read(entry, goal), "losses")
    shown = shown.sort_values(["refused", "seconds", "final_loss"], kind="stable")
    figure, axes = slide()
    longest = max(_bar(axes, entry, y) for y, entry in enumerate(records(shown)))
    bands(axes, shown["short_name"])
    axes.set_xlim(0, 1.42 * longest or 1.0)
    repeats = shown["repeats"].map(len).max()
    axes.set_xlabel(
        f"seconds to a training loss of {goal:.3g}"
        + (f", median of {repeats} repeats, each a dot" if repeats > 1 else "")
    )
    notes = ["The loss is smoothed, and a mean over the workers; seconds count from the end of the first step."]
    notes += ["Each worker of noop learns alone, from its own samples."] * bool((shown["strategy"] == "noop").any())
    compared = map(data.entry, shown.index[shown["contends"]])
    title = race(goal, {entry.label: times_to(entry, goal) for entry in compared})
    return data.sheet(figure, title, shown, COLUMNS, missing=missing, notes=notes)


def _read(entry: Entry, goal: float) -> list[dict[str, Any]] | None:
    curves = [loss_by_time(run) for run in entry.runs]
    if not all(seconds.size for seconds, _ in curves):
        return None
    times = times_to(entry, goal)
    middle = middle_time(times)
    return [
        {
            "loss": goal,
            "seconds": middle if math.isfinite(middle) else math.nan,
            "final_loss": float(loss_by_time(entry.run)[1][-1]),
            "recorded_seconds": max(float(seconds[-1]) for seconds, _ in curves),
            "repeats": tuple(seconds if math.isfinite(seconds) else "never" for seconds in times),
        }
    ]


def _bar(axes: Axes, entry: Any, y: int) -> float:
    """Draw one entry; return where its bar or its last dot ends."""
    times = [math.nan if seconds == "never" else seconds for seconds in entry.repeats]
    known = [seconds for seconds in times if math.isfinite(seconds)]
    reached = math.isfinite(entry.seconds)
    if reached:
        axes.barh(y, entry.seconds, 0.68, **look(entry).bar)
        never = len(times) - len(known)
        text = f"{entry.seconds:.3g} s" + (f", {never} of {len(times)} not" if never else "")
    else:
        axes.barh(y, entry.recorded_seconds, 0.68, facecolor="white", edgecolor=look(entry).colour, hatch="////")
        text = f"not reached: {entry.final_loss:.2g} after {entry.recorded_seconds:.3g} s"
    dots(axes, times, y)
    end = max([*known, 0.0 if reached else entry.recorded_seconds])
    beside(axes, end, y, "not comparable" if entry.refused else text, INK if reached and not entry.refused else ALARM)
    return float(end)
