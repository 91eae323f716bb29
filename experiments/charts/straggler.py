"""What a straggler costs each strategy: its throughput beside one, and without, and its loss meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, blank, thousands
from experiments.charts.loss_targets import goal_of
from experiments.charts.material import Absent, Material, Series, fact
from experiments.charts.style import ALARM, DASHES, FAINT, INK
from experiments.charts.titles import straggler_cost
from experiments.comparison import Contest, Entry
from experiments.format.units import human_count
from experiments.runs.loss_curves import Floats, loss_by_time, seconds_to_loss
from experiments.runs.run import Run

POINTS = 240  # of a line
SLOWNESS = ("slow_worker", "jitter", "train_seconds")  # settings


def stragglers(material: Material) -> Sheet:
    """Bars beside curves, of the contest with a straggler. Absent unless two strategies have a throughput there."""
    try:
        contest = material.largest(lambda contest: any(has_straggler(entry.run) for entry in contest.entries))
    except Absent:
        raise Absent("no run has a straggler (--slow-worker, --jitter)") from None
    fit = [entry for entry in contest.entries if entry.strategy != "single"]
    shown, missing = material.read(fit, lambda entry: entry.rates if any(entry.rates) else None, "throughput")
    if len([s for s in shown if s.contends]) < 2:
        raise Absent("only one strategy ran with a straggler")
    shown.sort(key=lambda s: (s.refused, -s.entry.rate.middle))
    rates = {s.label: s.entry.rate.middle for s in shown if s.contends}
    base = _base(shown)
    goal = material.loss if material.loss is not None else goal_of(s.entry for s in shown)
    figure = blank()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    without = _without(material, contest)
    _bars(left, shown, base, without)
    curves = _losses(right, [s for s in shown if s.contends], goal)
    rows = [*_bar_rows(shown, without), *curves]
    repeats = max(len(s.data) for s in shown)
    notes = (
        [f"Left: median of {repeats} repeats, each a dot; right: the repeat with the median one."]
        if repeats > 1
        else []
    )
    notes += ["Black line: the same without a straggler."] if without else []
    title = straggler_cost(rates, base.label)
    return material.sheet(figure, title, shown, rows, missing=missing, notes=[*notes, *material.only(contest)])


def has_straggler(run: Run) -> bool:
    """Whether some workers were made slower, always or at random, and the throughput is known."""
    asked = run.summary.slow_worker or run.summary.jitter
    return bool(asked) and bool(run.summary.samples_per_second)


def _base(shown: Sequence[Series]) -> Series:
    """Who waits for the straggler: ps-bsp, else the slowest synchronous contender, else the slowest."""
    contenders = [s for s in shown if s.contends]
    waiting = [s for s in contenders if s.run.summary.consistency == "bsp"]
    return next((s for s in waiting if s.entry.strategy == "ps-bsp"), (waiting or contenders)[-1])


def _without(material: Material, contest: Contest) -> dict[str, float]:
    """Samples/s by label in the contest that differs by the straggler alone; empty if there is none."""

    def rest(other: Contest) -> str:
        return repr(sorted((key, repr(value)) for key, value in other.setting.items() if key not in SLOWNESS[:2]))

    for other in material.comparison.contests:
        if other is not contest and rest(other) == rest(contest) and not any(fact(other, key) for key in SLOWNESS[:2]):
            return {entry.label: entry.rate.middle for entry in other.entries if any(entry.rates)}
    return {}


def _bars(axes: Axes, shown: Sequence[Series], base: Series, without: dict[str, float]) -> None:
    for y, s in enumerate(shown):
        rate = s.entry.rate.middle
        axes.barh(y, rate, 0.68, **s.bar)
        if len(s.data) > 1:
            axes.plot(s.data, [y] * len(s.data), "o", color=INK, markersize=4, mec="white", mew=0.5, zorder=3)
        if calm := without.get(s.label):
            axes.plot([calm, calm], [y - 0.4, y + 0.4], color=INK, linewidth=2.2, zorder=4)
        times = f"  {rate / base.entry.rate.middle:.1f}×" if s.contends and s is not base else ""
        text = "not comparable" if s.refused else human_count(rate) + times
        beside(axes, max([*s.data, without.get(s.label, 0.0)]), y, text, ALARM if s.refused else INK)
    bands(axes, [s.label if s.refused else s.name for s in shown])
    axes.set_xlim(0, 1.5 * max([*(max(s.data) for s in shown), *without.values()]))
    axes.xaxis.set_major_formatter(thousands)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(f"samples/s; ×: of {base.label}")


def _losses(axes: Axes, shown: Sequence[Series], goal: float | None) -> list[dict[str, Any]]:
    """A line of the loss for each, first those that reach `goal` first, with a mark where they do; returns its rows."""
    reached = {s.label: _reached(s.entry, goal) for s in shown}
    curves: list[tuple[Series, Floats, Floats]] = []
    for s in sorted(shown, key=lambda s: reached[s.label]):
        seconds, loss = loss_by_time(s.run)
        if loss.size:
            every = max(1, len(loss) // POINTS)
            curves.append((s, seconds[::every], loss[::every]))
    if not curves:
        axes.text(0.5, 0.5, "no run recorded losses", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return []
    for index, (s, x, y) in enumerate(curves):
        when = reached[s.label]
        told = f": {when:.3g} s" if math.isfinite(when) else ": not reached" if goal is not None else ""
        axes.plot(x, y, linestyle=DASHES[index % len(DASHES)], color=s.colour, label=s.label + told)
        if math.isfinite(when) and goal is not None:
            axes.plot([when], [goal], marker=s.marker, color=s.colour, markersize=9, mec="white", zorder=3)
    _loss_axes(axes, goal, curves)
    return [
        {
            "chart": "loss",
            "label": s.label,
            "strategy": s.entry.strategy,
            "seconds": float(at),
            "value": float(loss),
            "repeats": None,
            "not_comparable": None,
        }
        for s, x, y in curves
        for at, loss in zip(x, y, strict=True)
    ]


def _reached(entry: Entry, goal: float | None) -> float:
    """Seconds to `goal` in the repeat in the middle; infinity if it never was there."""
    seconds = None if goal is None else seconds_to_loss(entry.run, goal)
    return math.inf if seconds is None else seconds


def _loss_axes(axes: Axes, goal: float | None, curves: Sequence[tuple[Series, Floats, Floats]]) -> None:
    low, high = min(float(y.min()) for _, _, y in curves), max(float(y.max()) for _, _, y in curves)
    if goal is not None:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
    if low > 0 and high > 8 * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high)
    axes.set_xlim(0, 1.03 * max(float(x[-1]) for _, x, _ in curves))
    axes.set_xlabel("seconds since the end of the first step")
    axes.set_ylabel("training loss, smoothed")
    title = None if goal is None else f"time to a loss of {goal:.2g}"
    look: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9}
    axes.legend(
        loc="upper right", title=title, alignment="left", title_fontsize=9, fontsize=8.5, borderaxespad=0, **look
    )


def _bar_rows(shown: Sequence[Series], without: dict[str, float]) -> list[dict[str, Any]]:
    common = [("samples_per_second", s, s.entry.rate.middle, s.data) for s in shown]
    common += [("samples_per_second_without", s, without[s.label], None) for s in shown if s.label in without]
    return [
        {
            "chart": what,
            "label": s.label,
            "strategy": s.entry.strategy,
            "seconds": None,
            "value": value,
            "repeats": every,
            "not_comparable": s.entry.refused,
        }
        for what, s, value, every in common
    ]
