"""The cost of a straggler for each strategy: its throughput with and without one, and its loss with one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.charts.data import Absent, ChartData, by_label, records
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, beside, blank, dots, thousands
from experiments.charts.loss import few, loss_axis
from experiments.charts.loss_targets import target
from experiments.charts.style import ALARM, DASHES, FAINT, INK, look
from experiments.charts.titles import straggler_cost
from experiments.comparison.model import Entry
from experiments.format.units import human_count
from experiments.runs.loss_curves import loss_by_time, seconds_to_loss
from experiments.runs.run import Run

SLOWNESS = ("slow_worker", "jitter")  # settings
COLUMNS = ("chart", "seconds", "value", "repeats")


def stragglers(data: ChartData) -> Sheet:
    """Bars beside curves, of the contest with a straggler. Absent unless two strategies have a throughput there."""
    slow = pd.Series({place: has_straggler(data.entry(place).run) for place in data.entries.index})
    if not slow.any():
        raise Absent("no run has a straggler (--slow-worker, --jitter)")
    contest = data.largest(lambda rows: bool(slow[rows.index].any()))
    shown, missing = data.timed(contest[contest["strategy"] != "single"])
    shown = shown.sort_values(["refused", "samples_per_second"], ascending=[True, False], kind="stable")
    compared = shown[shown["contends"]].set_index("label")
    if len(compared) < 2:
        raise Absent("only one strategy ran with a straggler")
    base, without = _base(compared), _without(data, contest)
    goal = target(data, map(data.entry, shown.index))
    curves = _curves(data, shown[shown["contends"]], goal)
    figure = blank()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _bars(left, shown, base, without)
    _losses(right, curves, goal)
    rates = shown.assign(chart="samples_per_second", value=shown["samples_per_second"])
    calm = shown.assign(chart="samples_per_second_without", value=shown["label"].map(without), repeats=None)
    rows = pd.concat([rates, calm.dropna(subset="value"), curves.assign(chart="loss", repeats=None)])
    repeats = shown["repeats"].map(len).max()
    notes = [f"Left: median of {repeats} repeats, each a dot; right: the repeat with the median one."] * int(
        repeats > 1
    )
    notes += ["Black line: the same without a straggler."] if without else []
    title = straggler_cost(by_label(shown[shown["contends"]], "samples_per_second"), base)
    return data.sheet(figure, title, rows, COLUMNS, missing=missing, notes=notes)


def has_straggler(run: Run) -> bool:
    """Whether some workers were made slower, always or at random, and the throughput is known."""
    return bool(run.summary.slow_worker or run.summary.jitter) and bool(run.summary.samples_per_second)


def _base(compared: pd.DataFrame) -> str:
    """The label that waits for the straggler: ps-bsp, else the slowest synchronous contender, else the slowest."""
    waiting = compared[compared["consistency"] == "bsp"]
    servers = waiting[waiting["strategy"] == "ps-bsp"]
    return str(servers.index[0] if len(servers) else (waiting if len(waiting) else compared).index[-1])


def _without(data: ChartData, contest: pd.DataFrame) -> dict[str, float]:
    """Samples/s by label in the contest that differs by the straggler alone; empty without such a contest."""

    def rest(setting: Mapping[str, Any]) -> str:
        return repr(sorted((key, repr(value)) for key, value in setting.items() if key not in SLOWNESS))

    mine = data.contest(contest)
    for place, other in enumerate(data.comparison.contests):
        calm = not any(other.setting[key] for key in SLOWNESS)
        if other is not mine and calm and rest(other.setting) == rest(mine.setting):
            rows = data.entries[data.entries["contest"] == place]
            return by_label(rows[rows["samples_per_second"].notna()], "samples_per_second")
    return {}


def _bars(axes: Axes, shown: pd.DataFrame, base: str, without: Mapping[str, float]) -> None:
    usual = shown.loc[shown["label"] == base, "samples_per_second"].iloc[0]
    for y, entry in enumerate(records(shown)):
        rate, calm = entry.samples_per_second, without.get(entry.label, 0.0)
        axes.barh(y, rate, 0.68, **look(entry).bar)
        dots(axes, entry.repeats, y)
        if calm:
            axes.plot([calm, calm], [y - 0.4, y + 0.4], color=INK, linewidth=2.2, zorder=4)
        times = f"  {rate / usual:.1f}×" if entry.contends and entry.label != base else ""
        text = "not comparable" if entry.refused else human_count(rate) + times
        beside(axes, max(*entry.repeats, calm), y, text, ALARM if entry.refused else INK)
    bands(axes, shown["short_name"])
    axes.set_xlim(0, 1.5 * max([shown["repeats"].map(max).max(), *without.values()]))
    axes.xaxis.set_major_formatter(thousands)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(f"samples/s; ×: of {base}")


def _curves(data: ChartData, compared: pd.DataFrame, goal: float | None) -> pd.DataFrame:
    """The points of the loss of the middle repeat of each contender, the first to reach `goal` first."""

    def points(entry: Entry) -> list[dict[str, float]] | None:
        seconds, loss = loss_by_time(entry.run)
        reached = None if goal is None else seconds_to_loss(entry.run, goal)
        when = math.inf if reached is None else reached
        curve = zip(few(seconds), few(loss), strict=True)
        return [{"seconds": at, "value": value, "reached": when} for at, value in curve] or None

    try:
        return data.read(compared, points, "losses")[0].sort_values("reached", kind="stable")
    except Absent:
        return compared[:0]


def _losses(axes: Axes, curves: pd.DataFrame, goal: float | None) -> None:
    """A line of the loss of each contender, with a mark where it reaches `goal`."""
    if curves.empty:
        axes.text(0.5, 0.5, "no run recorded losses", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    for index, (label, line) in enumerate(curves.groupby("label", sort=False)):
        own, when = look(line.iloc[0]), line["reached"].iloc[0]
        reached = math.isfinite(when)
        words = f": {when:.3g} s" if reached else ": not reached" if goal is not None else ""
        dashes = DASHES[index % len(DASHES)]
        axes.plot(line["seconds"], line["value"], linestyle=dashes, color=own.colour, label=f"{label}{words}")
        if reached and goal is not None:
            axes.plot([when], [goal], marker=own.marker, color=own.colour, markersize=9, mec="white", zorder=3)
    if goal is not None:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
    loss_axis(axes, curves["value"], steep=8)
    axes.set_xlim(0, 1.03 * curves["seconds"].max())
    axes.set_xlabel("seconds since the end of the first step")
    title = None if goal is None else f"time to a loss of {goal:.2g}"
    style: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9}
    style |= {"alignment": "left", "title_fontsize": 9, "fontsize": 8.5, "borderaxespad": 0}
    axes.legend(loc="upper right", title=title, **style)
