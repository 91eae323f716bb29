"""How stale updates were: by how many steps their gradients were behind the newest push.

If no gradient is behind in steps, the updates of other workers since the worker's last answer are counted.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.charts.data import Absent, ChartData, by_label, panelled
from experiments.charts.export import Sheet
from experiments.charts.layout import wrapped
from experiments.charts.style import INK, look
from experiments.charts.titles import stale
from experiments.comparison.model import Entry

BARS = 10  # in a histogram, at most
COLUMNS = ("counted_in", "staleness_from", "staleness_to", "share_of_updates")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of staleness: its name, its histogram in the summary, the words of the axis."""

    name: str
    histogram: str
    axis: str

    def counts(self, entry: Entry) -> Counter[int]:
        """Return the updates by staleness, of all repeats; empty without a history of pushes."""
        counts: Counter[int] = Counter()
        for run in entry.runs:
            counts.update(getattr(run.summary, self.histogram))
        return counts


STEPS = Unit("step", "staleness_histogram", "steps behind the newest push")
UPDATES = Unit("update", "staleness_updates_histogram", "updates since its worker's last answer")


def staleness(data: ChartData) -> Sheet:
    """A panel for each entry with stale updates. Absent if none has any, or no run has a history of pushes."""
    unit, contest = _unit(data)
    every, _ = data.read(contest, lambda entry: _bars(unit, entry), "pushes")
    fresh = every.loc[every["most"] == 0, "label"].unique()
    figure, parts, notes = panelled(every[every["most"] > 0], sharey=True)
    for axes, part in parts:
        _histogram(axes, part, unit)
    shown, first = pd.concat(part for _, part in parts), parts[0][0]
    first.yaxis.set_major_formatter("{x:.0%}")
    first.set_ylim(0, 1.12 * shown["share_of_updates"].max())
    first.set_ylabel("share of updates")
    repeats = max(len(data.entry(place).runs) for place in shown.index)
    notes += [f"Updates of {repeats} repeats."] if repeats > 1 else []
    notes += [f"None was behind, in {unit.name}s: {', '.join(fresh)}."] if len(fresh) else []
    notes += ["Counted in updates: in steps, every gradient was of the newest."] if unit is UPDATES else []
    title = stale(by_label(shown, "most"), unit.name)
    return data.sheet(figure, title, shown, COLUMNS, notes=notes)


def _unit(data: ChartData) -> tuple[Unit, pd.DataFrame]:
    """Steps if any update is stale in steps, else updates; and the contest to draw."""

    def most(unit: Unit, places: Iterable[Hashable]) -> int:
        return max(step for place in places for step in [-1, *unit.counts(data.entry(place))])

    for unit in (STEPS, UPDATES):
        if most(unit, data.entries.index) > 0:
            return unit, data.largest(lambda rows, unit=unit: most(unit, rows.index) > 0)  # type: ignore[misc]
    if most(STEPS, data.entries.index) == 0:
        raise Absent("every gradient was of the newest step")
    raise Absent("no run has a history of pushes: that is what asynchronous parameter servers leave")


def _bars(unit: Unit, entry: Entry) -> list[dict[str, Any]] | None:
    """The bars of a histogram, each over one or several values of staleness."""
    counts = unit.counts(entry)
    if not (total := counts.total()):
        return None
    most = max(counts)
    wide = -(-(most + 1) // BARS)  # steps or updates that share a bar
    mean = sum(steps * count for steps, count in counts.items()) / total
    return [
        {
            "counted_in": f"{unit.name}s",
            "staleness_from": low,
            "staleness_to": min(low + wide - 1, most),
            "share_of_updates": sum(counts[steps] for steps in range(low, low + wide)) / total,
            "most": most,
            "mean": mean,
        }
        for low in range(0, most + 1, wide)
    ]


def _histogram(axes: Axes, bars: pd.DataFrame, unit: Unit) -> None:
    first: Any = bars.iloc[0]
    axes.bar(range(len(bars)), bars["share_of_updates"], 0.8, color=look(first).colour)
    for x, share in enumerate(bars["share_of_updates"]):
        words = f"{share:.0%}" if share >= 0.01 else "<1%" if share else ""
        axes.text(x, share, words, ha="center", va="bottom", fontsize=9 if len(bars) < 6 else 7, color=INK)
    ends = zip(bars["staleness_from"], bars["staleness_to"], strict=True)
    ranges = [str(low) if low == high else f"{low}–{high}" for low, high in ends]
    single = first.staleness_from == first.staleness_to
    axes.set_xticks(range(len(bars)), ranges, fontsize=9.5 if single else 7.5, rotation=0 if single else 60)
    axes.set_xlim(-0.6, max(len(bars), 3) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(unit.axis, fontsize=9, labelpad=1)
    axes.set_title(f"{wrapped(first['name'])}\nmean {first['mean']:.2g}, at most {first.most}")
