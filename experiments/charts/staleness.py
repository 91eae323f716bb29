"""How stale updates were: by how many steps their gradients were behind the newest push.

Where all workers keep pace none is behind in steps, but updates of others come between all the same: those are counted
then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from experiments.charts.export import Sheet
from experiments.charts.layout import blank, panels, percent, wrapped
from experiments.charts.material import Absent, Material, Series
from experiments.charts.style import INK
from experiments.charts.titles import stale
from experiments.comparison import Contest, Entry

BARS = 10  # in a histogram, at most
PANELS, ACROSS = 8, 4


@dataclass(frozen=True, slots=True)
class Unit:
    """What staleness is counted in: its name, the histogram in the summary, the words of the axis."""

    name: str
    key: str
    axis: str

    def counts(self, entry: Entry) -> Counter[int] | None:
        """Updates by staleness, of all repeats."""
        counts: Counter[int] = Counter()
        for run in entry.runs:
            counts.update(getattr(run.summary, self.key) or {})
        return counts if counts.total() else None

    def stale(self, contest: Contest) -> bool:
        """Whether any entry has a stale update."""
        return any(max(self.counts(entry) or [0]) for entry in contest.entries)


STEPS = Unit("step", "staleness_histogram", "steps behind the newest push")
UPDATES = Unit("update", "staleness_updates_histogram", "updates since its worker's last answer")


def staleness(material: Material) -> Sheet:
    """A panel for each entry with stale updates. Absent if none has any, or no run has a history of pushes."""
    unit, contest = _unit(material)
    every, _ = material.read(contest.entries, unit.counts, "pushes")
    most = {s.label: max(s.data) for s in every}
    never = [s.label for s in every if not most[s.label]]
    stale_ones = [s for s in every if most[s.label]]
    shown = stale_ones[:PANELS]
    figure = blank()
    many = panels(figure, len(shown), ACROSS, sharey=True)
    bars = [_histogram(axes, s, unit) for axes, s in zip(many, shown, strict=True)]
    percent(many[0].yaxis, 1.12 * max(share for its in bars for _, _, share in its))
    many[0].set_ylabel("share of updates")
    repeats = max(len(s.entry.runs) for s in shown)
    notes = [f"Updates of {repeats} repeats."] if repeats > 1 else []
    notes += [f"None was behind, in {unit.name}s: {', '.join(never)}."] if len(stale_ones) < len(every) else []
    notes += [f"No room for {', '.join(s.label for s in stale_ones[PANELS:])}."] if len(stale_ones) > PANELS else []
    notes += ["Counted in updates: in steps, every gradient was of the newest."] if unit is UPDATES else []
    title = stale({s.label: most[s.label] for s in shown}, unit.name)
    return material.sheet(figure, title, shown, _rows(shown, bars, unit), notes=[*notes, *material.only(contest)])


def _unit(material: Material) -> tuple[Unit, Contest]:
    """Steps where any update is stale in those, else updates; and the contest to draw."""
    for unit in (STEPS, UPDATES):
        try:
            return unit, material.largest(unit.stale)
        except Absent:
            continue
    if any(STEPS.counts(entry) for contest in material.comparison.contests for entry in contest.entries):
        raise Absent("every gradient was of the newest step")
    raise Absent("no run has a history of pushes: that is what asynchronous parameter servers leave")


def _histogram(axes: Axes, s: Series, unit: Unit) -> list[tuple[int, int, float]]:
    """Draw one and return its bars: (lowest, highest, share of the updates)."""
    total, most = s.data.total(), max(s.data)
    wide = -(-(most + 1) // BARS)  # steps or updates that share a bar
    bars = [
        (low, min(low + wide - 1, most), sum(s.data.get(steps, 0) for steps in range(low, low + wide)) / total)
        for low in range(0, most + 1, wide)
    ]
    axes.bar(range(len(bars)), [share for _, _, share in bars], 0.8, color=s.colour)
    for x, (_, _, share) in enumerate(bars):
        words = f"{share:.0%}" if share >= 0.01 else "<1%" if share else ""
        axes.text(x, share, words, ha="center", va="bottom", fontsize=9 if len(bars) < 6 else 7, color=INK)
    ranges = [str(low) if low == high else f"{low}–{high}" for low, high, _ in bars]
    axes.set_xticks(range(len(bars)), ranges, fontsize=9.5 if wide == 1 else 7.5, rotation=0 if wide == 1 else 60)
    axes.set_xlim(-0.6, max(len(bars), 3) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(unit.axis, fontsize=9, labelpad=1)
    mean = sum(steps * count for steps, count in s.data.items()) / total
    axes.set_title(f"{wrapped(s.name)}\nmean {mean:.2g}, at most {most}", fontsize=9.5, loc="left", color=INK)
    return bars


def _rows(shown: Sequence[Series], bars: Sequence[list[tuple[int, int, float]]], unit: Unit) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "counted_in": f"{unit.name}s",
            "staleness_from": low,
            "staleness_to": high,
            "share_of_updates": share,
            "not_comparable": s.entry.refused,
        }
        for s, its in zip(shown, bars, strict=True)
        for low, high, share in its
    ]
