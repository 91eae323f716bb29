"""Samples per second of each entry of one contest, beside the ceiling and the yardstick; and beside a straggler."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.charts.data import Absent, ChartData, by_label, without_settings
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, bar_end, blank, slide, thousands
from experiments.charts.loss import few, loss_axis, target
from experiments.charts.style import DASHES, FAINT, INK, look, records
from experiments.charts.titles import straggler_cost
from experiments.comparison.model import Entry
from experiments.comparison.wording import verdict_title
from experiments.format.units import human_count
from experiments.runs.loss_curves import loss_by_time, seconds_to_loss
from experiments.runs.run import Run

SLOWNESS = ("slow_worker", "jitter")  # settings
FAR = 1.25  # times as fast as all others: beyond it the yardstick's bar is cut, because it would dwarf the others
COLUMNS = ("samples_per_second", "low", "high", "share_of_ceiling", "repeats")


def throughput(data: ChartData) -> Sheet:
    """Bars, the fastest first; every repeat a dot. Absent if no run has a throughput."""
    shown, missing = data.timed(data.focus)
    shown = shown.sort_values("samples_per_second", ascending=False, kind="stable")
    top = shown["repeats"].map(max)
    yardsticks = (shown["strategy"] == "single") & ~shown["refused"]
    cut = yardsticks & (top > FAR * top[~yardsticks].max())
    ceilings = (shown["strategy"] == "noop") & ~shown["refused"]
    as_line = ceilings & (ceilings.sum() == 1) & (len(shown) > 1)  # one ceiling over everything
    figure, axes = slide()
    axes.set_xlim(0, 1.45 * top[~cut].max())
    bars = shown[~as_line]
    for y, entry in enumerate(records(bars)):
        axes.barh(y, entry.samples_per_second, 0.68, **look(entry).bar)
        if cut[entry.Index]:
            _break(axes, entry, y)
            continue
        share = f"   {entry.share_of_ceiling:.0%} of the ceiling" * (entry.contends and entry.share_of_ceiling > 0)
        text = human_count(entry.samples_per_second) + ("   not comparable" if entry.refused else share)
        bar_end(axes, y, entry.samples_per_second, entry.repeats, text, entry.refused)
    bands(axes, bars["short_name"])
    for entry in records(shown[as_line]):
        _ceiling(axes, entry)
    axes.xaxis.set_major_formatter(thousands)
    repeats = shown["repeats"].map(len).max()
    what = f"median of {repeats} repeats, each a dot" if repeats > 1 else "one run a bar"
    axes.set_xlabel(f"samples per second without warm-up, {what}")
    notes = []
    for entry in records(shown[cut]):
        span = " to ".join(dict.fromkeys(map(human_count, (min(entry.repeats), max(entry.repeats)))))
        notes.append(
            f"The bar of {entry.label} is cut: {span}. One process synchronises with nobody, so it has no ceiling."
        )
    return data.sheet(figure, _title(data, shown), shown, COLUMNS, missing=missing, notes=notes)


def _break(axes: Axes, entry: Any, y: int) -> None:
    """Two strokes through a bar that goes on beyond the axes, and its value inside it."""
    at, colour = axes.get_yaxis_transform(), look(entry).colour
    for x, ink, wide in ((0.936, "white", 10.0), (0.93, colour, 1.4), (0.942, colour, 1.4)):
        axes.plot([x - 0.008, x + 0.008], [y + 0.44, y - 0.44], color=ink, linewidth=wide, transform=at, zorder=2.5)
    text = f"{human_count(entry.samples_per_second)}: one process, which waits for nobody"
    axes.text(0.015, y, text, va="center_baseline", fontsize=9.5, color=INK, transform=at, zorder=3)


def _ceiling(axes: Axes, entry: Any) -> None:
    """A line over all bars."""
    colour, rate = look(entry).colour, entry.samples_per_second
    axes.axvspan(min(entry.repeats), max(entry.repeats), color=colour, alpha=0.18, linewidth=0, zorder=0)
    axes.axvline(rate, color=colour, linestyle="--", zorder=0)
    text = f"{entry.label}, no synchronisation: the ceiling, {human_count(rate)}"
    side = "right" if rate > sum(axes.get_xlim()) / 2 else "center"
    axes.text(rate, 1.01, text, ha=side, fontsize=9, color=FAINT, transform=axes.get_xaxis_transform())


def _title(data: ChartData, shown: pd.DataFrame) -> str:
    """The verdict, as on the command line and in the report; of one contender its throughput."""
    contenders = records(shown[shown["contends"]])
    if not contenders:
        return "Throughput, without a strategy to compare"
    if len(contenders) > 1:
        return verdict_title(data.contest(shown))
    (only,) = contenders
    share = f", {only.share_of_ceiling:.0%} of the ceiling" if only.share_of_ceiling > 0 else ""
    return f"{only.label}: {human_count(only.samples_per_second)} samples/s{share}"


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
    base, without, goal = _base(compared), _without(data, contest), target(data, shown)
    curves = _curves(data, shown[shown["contends"]], goal)
    figure = blank()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _bars(left, shown, base, without)
    _losses(right, curves, goal)
    rates = shown.assign(chart="samples_per_second", value=shown["samples_per_second"])
    calm = shown.assign(chart="samples_per_second_without", value=shown["label"].map(without), repeats=None)
    rows = pd.concat([rates, calm.dropna(subset="value"), curves.assign(chart="loss", repeats=None)])
    repeats = shown["repeats"].map(len).max()
    left_right = f"Left: median of {repeats} repeats, each a dot; right: the repeat with the median one."
    notes = [left_right] if repeats > 1 else []
    notes += ["Black line: the same without a straggler."] if without else []
    title = straggler_cost(by_label(shown[shown["contends"]], "samples_per_second"), base)
    return data.sheet(figure, title, rows, ("chart", "seconds", "value", "repeats"), missing=missing, notes=notes)


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
    mine = without_settings(data.contest(contest), *SLOWNESS)
    for place, other in enumerate(data.comparison.contests):
        calm = not any(other.setting[key] for key in SLOWNESS)
        if calm and place != contest["contest"].iloc[0] and without_settings(other, *SLOWNESS) == mine:
            rows = data.entries[data.entries["contest"] == place]
            return by_label(rows[rows["samples_per_second"].notna()], "samples_per_second")
    return {}


def _bars(axes: Axes, shown: pd.DataFrame, base: str, without: Mapping[str, float]) -> None:
    usual = shown.loc[shown["label"] == base, "samples_per_second"].iloc[0]
    for y, entry in enumerate(records(shown)):
        rate, calm = entry.samples_per_second, without.get(entry.label, 0.0)
        axes.barh(y, rate, 0.68, **look(entry).bar)
        if calm:
            axes.plot([calm, calm], [y - 0.4, y + 0.4], color=INK, linewidth=2.2, zorder=4)
        times = f"  {rate / usual:.1f}×" if entry.contends and entry.label != base else ""
        text = "not comparable" if entry.refused else human_count(rate) + times
        bar_end(axes, y, max(rate, calm), entry.repeats, text, entry.refused)
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
    style: dict[str, Any] = {"alignment": "left", "title_fontsize": 9, "fontsize": 8.5, "borderaxespad": 0}
    style |= {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9}
    axes.legend(loc="upper right", title=title, **style)
