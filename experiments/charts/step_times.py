"""How long each rank's steps took, and how much of them was its own work: a straggler stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.charts.export import Sheet
from experiments.charts.layout import blank, panels, wrapped
from experiments.charts.material import Material, Series
from experiments.charts.style import INK
from experiments.comparison import Entry
from experiments.format.units import human_ms
from experiments.format.words import listed
from experiments.schema.records import StepRow

PANELS, ACROSS = 8, 4
MANY, WIDE = 16, 0.36  # ranks that have boxes at most, and how wide a box is
CUTS = (5, 25, 50, 75, 95)  # per cent, at the ends of whiskers and boxes and in the middle
Boxes = dict[
    int, tuple[list[float], list[float]]
]  # by rank: seconds at the cuts, of the whole step and of its own work


def step_times(material: Material) -> Sheet:
    """A panel an entry, a pair of boxes a rank. Absent if no run recorded steps."""
    contest = material.focus
    every, missing = material.read(contest.entries, _boxes, "steps")
    shown = sorted(every, key=lambda s: not s.contends)[:PANELS]
    figure = blank()
    many = panels(figure, len(shown), ACROSS, sharey=True)
    for axes, s in zip(many, shown, strict=True):
        _panel(axes, s)
    tops = {s.label: max(cuts[-1] for box in s.data.values() for cuts in box) for s in shown}
    top = max((tops[s.label] for s in shown if s.contends), default=max(tops.values()))
    many[0].set_ylim(0, 1.08e3 * top)
    many[0].yaxis.set_major_locator(MaxNLocator(4))
    for axes in many[:: -(-len(shown) // -(-len(shown) // ACROSS))]:
        axes.set_ylabel("milliseconds")
    notes = [
        "Pale boxes are whole steps, strong ones the worker's own work: all stages but synchronize.",
        "Boxes are quartiles, lines at them go from 5% to 95% of the steps of all repeats, without warm-up.",
    ]
    cut = [f"{label} (up to {human_ms(most)} ms)" for label, most in tops.items() if most > 1.08 * top]
    notes += [f"Lines that leave the picture: {listed(cut)}."] if cut else []
    notes += ["Of many workers: bands and lines, whole steps dashed."] * any(len(s.data) > MANY for s in shown)
    notes += [f"No room for {', '.join(s.label for s in every if s not in shown)}."] if len(shown) < len(every) else []
    return material.sheet(
        figure, _title(shown), shown, _rows(shown), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _boxes(entry: Entry) -> Boxes | None:
    """Of the steps of all repeats."""
    steps: dict[int, list[tuple[float, float]]] = {}
    for run in entry.runs:
        for rank, rows in run.worker_rows.items():
            steady = rows[run.summary.warmup_steps :]
            steps.setdefault(rank, []).extend(_seconds(row) for row in steady if not row.skipped)
    return {rank: _cuts(pairs) for rank, pairs in steps.items() if pairs} or None


def _seconds(row: StepRow) -> tuple[float, float]:
    whole = row.ended - row.began
    return whole, max(0.0, whole - row.seconds.synchronize)


def _cuts(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    whole, own = np.percentile(np.array(pairs), CUTS, axis=0).T.tolist()
    return whole, own


def _panel(axes: Axes, s: Series) -> None:
    ranks = sorted(s.data)
    if len(ranks) > MANY:
        _bands(axes, s)
    else:
        for place, rank in enumerate(ranks):
            for side, cuts, strength in ((-1, s.data[rank][0], 0.35), (1, s.data[rank][1], 1.0)):
                _box(axes, place + side * WIDE / 2, WIDE, [1e3 * cut for cut in cuts], s.colour, strength)
    every = max(1, len(ranks) // 8)
    axes.set_xticks(range(0, len(ranks), every), [str(rank) for rank in ranks[::every]])
    axes.set_xlim(-0.6, max(len(ranks), 2) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("worker", fontsize=9.5, labelpad=1)
    axes.set_title(wrapped(s.name, 22), fontsize=9.5, loc="left", color=INK)


def _bands(axes: Axes, s: Series) -> None:
    """Of many ranks: the quartiles as bands, and the medians as lines."""
    cuts = 1e3 * np.array([s.data[rank] for rank in sorted(s.data)])  # (ranks, whole or own, cuts)
    for kind, strength, dashes in ((0, 0.35, "--"), (1, 1.0, "-")):
        _, first, middle, third, _ = cuts[:, kind].T
        axes.fill_between(range(len(cuts)), first, third, color=s.colour, alpha=0.4 * strength, linewidth=0)
        axes.plot(range(len(cuts)), middle, linestyle=dashes, color=s.colour, linewidth=1.4)


def _box(axes: Axes, x: float, wide: float, cuts: list[float], colour: str, strength: float) -> None:
    low, first, middle, third, high = cuts
    stats = [{"whislo": low, "q1": first, "med": middle, "q3": third, "whishi": high, "fliers": []}]
    thin = {"color": colour, "linewidth": 1.0}
    look: dict[str, Any] = {"whiskerprops": thin, "medianprops": {"color": INK, "linewidth": 1.2}}
    look["boxprops"] = {"edgecolor": colour, "linewidth": 0.8}
    hidden: dict[str, Any] = {"showfliers": False, "showcaps": False, "manage_ticks": False}
    drawn = axes.bxp(stats, [x], widths=wide * 0.9, patch_artist=True, **hidden, **look)
    for box in drawn["boxes"]:
        box.set_facecolor((colour, strength))


def _title(shown: list[Series]) -> str:
    """Of the contenders the one whose ranks differ most in their own work."""
    ratios = {}
    for s in shown:
        own = {rank: box[1][2] for rank, box in s.data.items()}
        if s.contends and len(own) > 1 and (least := sorted(own.values())[(len(own) - 1) // 2]):
            slowest = max(own, key=own.__getitem__)
            ratios[s.label] = (own[slowest] / least, slowest, own[slowest])
    if not ratios:
        return "Time of a step, by worker"
    label = max(ratios, key=lambda name: ratios[name][0])
    ratio, rank, seconds = ratios[label]
    if ratio < 1.25:
        return f"No straggler: the workers' own work takes equally long, to within {ratio - 1:.0%}"
    return f"Worker {rank} is the straggler: {human_ms(seconds)} ms of own work, {ratio:.1f}× the others ({label})"


def _rows(shown: list[Series]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "worker": rank,
            **{f"step_seconds_p{cut}": value for cut, value in zip(CUTS, box[0], strict=True)},
            **{f"own_seconds_p{cut}": value for cut, value in zip(CUTS, box[1], strict=True)},
            "not_comparable": s.entry.refused,
        }
        for s in shown
        for rank, box in sorted(s.data.items())
    ]
