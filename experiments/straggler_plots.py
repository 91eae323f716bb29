"""The charts of consistencies: how stale updates were, and what a straggler costs each strategy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.learning import common_loss, loss_by_time, seconds_to_loss
from experiments.repeats import alike
from experiments.results import Run, human_count
from experiments.sentences import conditions, stale, straggler_cost
from experiments.slide import blank, frame
from experiments.style import FAINT, FORMATS, INK, RC, style

Named = dict[str, list[Run]]  # by label: repeats of one run
BARS = 10  # in a histogram, at most
PANELS = 3  # beside each other
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


def plot_stragglers(runs: Sequence[Run], out_dir: str | Path, note: str = "", loss: float | None = None) -> list[Path]:
    """Write those charts that the runs have data for, as PNG and SVG, into `out_dir` (which is there already).

    `staleness` needs a run with a history of pushes, `stragglers` two different ones with a straggler in them. `loss`
    is the one that time is measured to; None: one that all of them reached. Runs of the same settings are repeats.
    """
    figures: dict[str, Figure] = {}
    with mpl.rc_context(RC):
        if with_history := _those(runs, lambda run: bool(run.summary.get("staleness_histogram"))):
            figures["staleness"] = _staleness(with_history, note)
        if len(slowed := _those(runs, has_straggler)) > 1:
            figures["stragglers"] = _stragglers(slowed, note, loss)
        files = []
        for name, figure in figures.items():
            for suffix, metadata in FORMATS.items():
                files.append(Path(out_dir) / f"{name}.{suffix}")
                figure.savefig(files[-1], dpi=160, metadata=metadata)
    return files


def _those(runs: Sequence[Run], fit: Callable[[Run], bool]) -> Named:
    """The runs that `fit`, with the labels that they have among all `runs`."""
    chosen = {label: [run for run in group if fit(run)] for label, group in alike(runs).items()}
    return {label: group for label, group in chosen.items() if group}


def has_straggler(run: Run) -> bool:
    """Whether some workers were made slower, always or at random, and the throughput is known."""
    asked = run.summary.get("slow_worker") or run.summary.get("jitter")
    return bool(asked) and bool(run.number("samples_per_second"))


def _all(named: Named) -> list[Run]:
    return [run for group in named.values() for run in group]


def _repeats(named: Named, what: str) -> str:
    """A note on what stands for the repeats, if there are any."""
    most = max(map(len, named.values()))
    return f"{what} of {most} repeats" if most > 1 else ""


def _staleness(named: Named, note: str) -> Figure:
    """Side by side: the share of updates by how many steps behind the newest push their gradient was.

    Runs without a stale update are only named, where there are others.
    """
    most = {label: max(int(run.summary["staleness_max"]) for run in group) for label, group in named.items()}
    never = [label for label in named if not most[label]]
    shown = {label: group for label, group in named.items() if most[label]} or named
    figure = blank()
    panels = figure.subplots(-(-len(shown) // PANELS), min(len(shown), PANELS), sharey=True, squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, (label, group) in zip(panels.flat, shown.items(), strict=False):
        _histogram(axes, label, group)
    for row in panels:
        row[0].set_ylabel("share of updates")
        row[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    notes = [_repeats(shown, "Updates")]
    notes += [f"No update was stale: {', '.join(never)}"] if len(shown) < len(named) else []
    footer = [(line, FAINT) for text in ["; ".join(filter(None, notes)), note] for line in wrap(text, 150)]
    frame(figure, stale({label: most[label] for label in shown}), conditions(_all(shown)), footer)
    return figure


def _histogram(axes: Axes, label: str, repeats: Sequence[Run]) -> None:
    counts: Counter[int] = Counter()
    for run in repeats:
        counts.update({int(steps): count for steps, count in run.summary["staleness_histogram"].items()})
    total, most = sum(counts.values()), max(counts)
    wide = -(-(most + 1) // BARS)  # steps that share a bar
    bars = [sum(counts.get(steps, 0) for steps in range(low, low + wide)) / total for low in range(0, most + 1, wide)]
    axes.bar(range(len(bars)), bars, 0.8, color=style(repeats[0].strategy)[0])
    for x, share in enumerate(bars):
        words = f"{share:.0%}" if share >= 0.01 else "<1%" if share else ""
        axes.text(x, share, words, ha="center", va="bottom", fontsize=9, color=INK)
    spans = [(low, min(low + wide - 1, most)) for low in range(0, most + 1, wide)]
    ranges = [str(low) if low == high else f"{low}–{high}" for low, high in spans]
    axes.set_xticks(range(len(bars)), ranges, fontsize=11 if wide == 1 else 9)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("staleness, steps behind the newest push")
    mean = sum(steps * count for steps, count in counts.items()) / total
    axes.set_title(f"{label}: mean {mean:.2g}, at most {most}", fontsize=11, loc="left", color=INK)


def _stragglers(named: Named, note: str, loss: float | None) -> Figure:
    figure = blank()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    rates = {label: median(run.number("samples_per_second") or 0.0 for run in group) for label, group in named.items()}
    named = {label: named[label] for label in sorted(rates, key=lambda label: -rates[label])}
    synchronous = [label for label, group in named.items() if group[0].summary.get("consistency") == "bsp"]
    base = "ps-bsp" if "ps-bsp" in synchronous else (synchronous or list(rates))[-1]
    _bars(left, named, rates, base)
    _losses(right, named, common_loss(_all(named)) if loss is None else loss)
    footer = [(line, FAINT) for line in wrap(note, 150)]
    frame(figure, straggler_cost(rates, base), conditions(_all(named)), footer)
    return figure


def _bars(axes: Axes, named: Named, rates: dict[str, float], base: str) -> None:
    for y, (label, group) in enumerate(named.items()):
        every = [run.number("samples_per_second") or 0.0 for run in group]
        axes.barh(y, rates[label], 0.68, facecolor=style(group[0].strategy)[0])
        if len(every) > 1:
            axes.plot(every, [y] * len(every), "o", color="black", markersize=4, zorder=3)
        words = human_count(rates[label]) + (f"  {rates[label] / rates[base]:.1f}× {base}" if label != base else "")
        at = max(rates[label], *every)
        axes.annotate(words, (at, y), (6, 0), textcoords="offset points", va="center_baseline", fontsize=10.5)
    axes.set_yticks(range(len(named)), list(named), color=INK)
    axes.set_ylim(len(named) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.6 * max(rates.values()))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}")
    axes.locator_params(axis="x", nbins=5)
    dots = _repeats(named, "median")
    axes.set_xlabel("samples per second while all work" + (f", {dots}" if dots else ""))


def _middle(repeats: Sequence[Run], goal: float | None) -> tuple[float, Run]:
    """Of the repeats, the one that took the (lower) median time to `goal`, and that; infinity if it never did."""
    times = [(seconds_to_loss(run, goal) if goal is not None else None, run) for run in repeats]
    known = [(math.inf if seconds is None else seconds, run) for seconds, run in times]
    return sorted(known, key=lambda each: each[0])[(len(known) - 1) // 2]


def _losses(axes: Axes, named: Named, goal: float | None) -> None:
    """A line of the loss for each, first those that reach `goal` first, with a mark where they do."""
    lows, highs, ends = [], [], []
    middles = {label: _middle(group, goal) for label, group in named.items()}
    for index, label in enumerate(sorted(middles, key=lambda label: middles[label][0])):
        reached, run = middles[label]
        seconds, loss = loss_by_time(run)
        if not loss.size:
            continue
        colour, marker = style(run.strategy)
        look: dict[str, Any] = {"color": colour, "linestyle": DASHES[index % len(DASHES)]}
        axes.plot(seconds, loss, label=f"{label}: {reached:.3g} s" if math.isfinite(reached) else label, **look)
        if math.isfinite(reached) and goal is not None:
            axes.plot([reached], [goal], marker, color=colour, markersize=9, mec="white", zorder=3)
        lows.append(float(loss.min()))
        highs.append(float(loss.max()))
        ends.append(float(seconds[-1]))
    if not lows:
        axes.text(0.5, 0.5, "no run recorded losses", ha="center", transform=axes.transAxes)
        return
    _loss_axes(axes, goal, (min(lows), max(highs)), max(ends))
    title = None if goal is None else f"{'median ' if _repeats(named, '') else ''}time to a loss of {goal:.2g}"
    look = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1}
    axes.legend(loc="upper right", title=title, alignment="left", title_fontsize=10, borderaxespad=0, **look)


def _loss_axes(axes: Axes, goal: float | None, span: tuple[float, float], end: float) -> None:
    low, high = span
    if goal is not None:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
    if low > 0 and high > 8 * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high)
    axes.set_xlim(0, end)
    axes.set_xlabel("seconds since the end of the first step")
    axes.set_ylabel("training loss, smoothed, mean over workers")
