"""How long each took to one loss, and who never got there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, blank
from experiments.charts.loss_targets import goal_of, middle_time, race, times_to
from experiments.charts.material import Absent, Material, Series
from experiments.charts.style import ALARM, INK
from experiments.comparison import Entry
from experiments.runs.loss_curves import loss_by_time


@dataclass(frozen=True)
class _Times:
    reached: list[float]  # seconds of each repeat; infinity for one that did not
    lasted: float  # seconds that the longest repeat recorded
    loss: float  # that the repeat in the middle ended with

    @property
    def middle(self) -> float:
        return middle_time(self.reached)


def time_to_loss(material: Material) -> Sheet:
    """Bars, who is there first on top; who never is has a hatched bar as long as its run. Absent without losses."""
    contest = material.focus
    goal = material.loss if material.loss is not None else goal_of(contest.entries)
    if goal is None:
        raise Absent("no contender recorded losses")
    shown, missing = material.read(contest.entries, lambda entry: _times(entry, goal), "losses")
    shown.sort(key=lambda s: (s.refused, s.data.middle, s.data.loss))
    figure = blank()
    axes = figure.subplots()
    for y, s in enumerate(shown):
        _bar(axes, s, y)
    bands(axes, [s.label if s.refused else s.name for s in shown])
    longest = max(_end(s.data) for s in shown)
    axes.set_xlim(0, 1.42 * longest or 1.0)
    repeats = max(len(s.data.reached) for s in shown)
    dots = f", median of {repeats} repeats, each a dot" if repeats > 1 else ""
    axes.set_xlabel(f"seconds to a training loss of {goal:.3g}{dots}")
    notes = ["The loss is smoothed, and a mean over the workers; seconds count from the end of the first step."]
    if any(s.entry.strategy == "noop" for s in shown):
        notes.append("noop's workers each learn alone, from their own samples.")
    title = race(goal, {s.label: s.data.reached for s in shown if s.contends})
    return material.sheet(
        figure, title, shown, _rows(shown, goal), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _times(entry: Entry, goal: float) -> _Times | None:
    curves = [loss_by_time(run) for run in entry.runs]
    if not all(seconds.size for seconds, _ in curves):
        return None
    return _Times(
        times_to(entry, goal),
        max(float(seconds[-1]) for seconds, _ in curves),
        float(loss_by_time(entry.run)[1][-1]),
    )


def _end(times: _Times) -> float:
    known = [seconds for seconds in times.reached if math.isfinite(seconds)]
    return max([*known, times.lasted if math.isinf(times.middle) else 0.0])


def _bar(axes: Axes, s: Series, y: int) -> None:
    times: _Times = s.data
    if math.isfinite(times.middle):
        axes.barh(y, times.middle, 0.68, **s.bar)
        text = f"{times.middle:.3g} s"
        if (never := len(times.reached) - len([x for x in times.reached if math.isfinite(x)])) > 0:
            text += f", {never} of {len(times.reached)} not"
    else:
        axes.barh(y, times.lasted, 0.68, facecolor="white", edgecolor=s.colour, hatch="////")
        text = f"not reached: {times.loss:.2g} after {times.lasted:.3g} s"
    known = [seconds for seconds in times.reached if math.isfinite(seconds)]
    if len(times.reached) > 1:
        axes.plot(known, [y] * len(known), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)
    late = s.refused or math.isinf(times.middle)
    beside(axes, _end(times), y, "not comparable" if s.refused else text, ALARM if late else INK)


def _rows(shown: list[Series], goal: float) -> list[dict[str, Any]]:
    def known(seconds: float) -> float | None:
        return seconds if math.isfinite(seconds) else None

    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "loss": goal,
            "seconds": known(s.data.middle),
            "final_loss": s.data.loss,
            "recorded_seconds": s.data.lasted,
            "repeats": ["never" if math.isinf(seconds) else seconds for seconds in s.data.reached],
            "not_comparable": s.entry.refused,
        }
        for s in shown
    ]
