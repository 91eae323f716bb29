"""The charts of consistencies: how stale updates were, and what a straggler costs each strategy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.labels import labels
from experiments.learning import common_loss, loss_by_time, seconds_to_loss
from experiments.results import Run, human_count
from experiments.sentences import conditions, stale, straggler_cost
from experiments.slide import blank, frame
from experiments.style import FAINT, FORMATS, INK, RC, style

Named = list[tuple[str, Run]]  # label, run
BARS = 10  # in a histogram, at most
PANELS = 3  # beside each other


def plot_stragglers(runs: Sequence[Run], out_dir: str | Path, note: str = "", loss: float | None = None) -> list[Path]:
    """Write those charts that the runs have data for, as PNG and SVG, into `out_dir` (which is there already).

    `staleness` needs a run with a history of pushes, `stragglers` two runs with a straggler in them. `loss` is the
    one that time is measured to; None: one that all of them reached.
    """
    named = [(_bounded(label, run), run) for label, run in zip(labels(runs), runs, strict=True)]
    figures: dict[str, Figure] = {}
    with mpl.rc_context(RC):
        if with_history := [(label, run) for label, run in named if run.summary.get("staleness_histogram")]:
            figures["staleness"] = _staleness(with_history, note)
        if len(slowed := [(label, run) for label, run in named if has_straggler(run)]) > 1:
            figures["stragglers"] = _stragglers(slowed, note, loss)
        files = []
        for name, figure in figures.items():
            for suffix, metadata in FORMATS.items():
                files.append(Path(out_dir) / f"{name}.{suffix}")
                figure.savefig(files[-1], dpi=160, metadata=metadata)
    return files


def _bounded(label: str, run: Run) -> str:
    """The label with the bound of its consistency: `ps-ssp(3)`."""
    bound = re.search(r"\(\d+\)$", str(run.summary.get("consistency")))
    return label.replace(run.strategy, f"{run.strategy}{bound[0]}", 1) if bound else label


def has_straggler(run: Run) -> bool:
    """Whether some workers were made slower, always or at random, and the throughput is known."""
    asked = run.summary.get("slow_worker") or run.summary.get("jitter")
    return bool(asked) and bool(run.number("samples_per_second"))


def slowness(runs: Sequence[Run]) -> str:
    """What made workers slow, in words: `worker 3 trains 4× as long`."""
    told = []
    for text in dict.fromkeys(run.summary.get("slow_worker") or "" for run in runs):
        for part in filter(None, text.split(",")):
            rank, _, factor = part.strip().partition(":")
            told.append(f"worker {rank} trains {float(factor):g}× as long")
    told += [f"jitter {text}" for text in dict.fromkeys(run.summary.get("jitter") or "" for run in runs) if text]
    floors = dict.fromkeys(run.number("train_seconds") or 0.0 for run in runs)
    told += [f"training {1e3 * floor:g} ms a step" for floor in floors if floor]
    return ", ".join(told)


def _staleness(named: Named, note: str) -> Figure:
    """Side by side: the share of updates by how many steps behind the newest push their gradient was.

    Runs without a stale update are only named, where there are others.
    """
    late = [(label, run) for label, run in named if run.summary["staleness_max"]]
    never = [label for label, run in named if not run.summary["staleness_max"]]
    shown = late or named
    figure = blank()
    panels = figure.subplots(-(-len(shown) // PANELS), min(len(shown), PANELS), sharey=True, squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, (label, run) in zip(panels.flat, shown, strict=False):
        _histogram(axes, label, run)
    for row in panels:
        row[0].set_ylabel("share of updates")
        row[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    runs = [run for _, run in shown]
    below = "; ".join(filter(None, [slowness(runs), conditions(runs)]))
    notes = [f"No update was stale: {', '.join(never)}"] if late and never else []
    footer = [(line, FAINT) for text in [*notes, note] for line in wrap(text, 150)]
    frame(figure, stale({label: int(run.summary["staleness_max"]) for label, run in shown}), below, footer)
    return figure


def _histogram(axes: Axes, label: str, run: Run) -> None:
    counts = {int(steps): count for steps, count in run.summary["staleness_histogram"].items()}
    total, most = sum(counts.values()), max(counts)
    wide = -(-(most + 1) // BARS)  # steps that share a bar
    bars = [sum(counts.get(steps, 0) for steps in range(low, low + wide)) / total for low in range(0, most + 1, wide)]
    axes.bar(range(len(bars)), bars, 0.8, color=style(run.strategy)[0])
    for x, share in enumerate(bars):
        words = f"{share:.0%}" if share >= 0.005 else "<1%" if share else ""
        axes.text(x, share, words, ha="center", va="bottom", fontsize=9, color=INK)
    ranges = [str(low) if wide == 1 else f"{low}–{min(low + wide - 1, most)}" for low in range(0, most + 1, wide)]
    axes.set_xticks(range(len(bars)), ranges, rotation=0 if wide == 1 else 40, ha="center" if wide == 1 else "right")
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("staleness, steps behind the newest push")
    mean = sum(steps * count for steps, count in counts.items()) / total
    axes.set_title(f"{label}: mean {mean:.2g}, at most {most}", fontsize=11, loc="left", color=INK)


def _stragglers(named: Named, note: str, loss: float | None) -> Figure:
    figure = blank()
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    named = sorted(named, key=lambda each: -(each[1].number("samples_per_second") or 0.0))
    rates = {label: run.number("samples_per_second") or 0.0 for label, run in named}
    synchronous = [label for label, run in named if run.summary.get("consistency") == "bsp"]
    base = "ps-bsp" if "ps-bsp" in synchronous else (synchronous or list(rates))[-1]
    goal = common_loss([run for _, run in named]) if loss is None else loss
    times = {label: seconds_to_loss(run, goal) if goal is not None else None for label, run in named}
    _bars(left, named, rates, base)
    _losses(right, named, goal, times)
    below = f"{slowness([run for _, run in named])}; {conditions([run for _, run in named])}"
    footer = [(line, FAINT) for line in wrap(note, 150)]
    frame(figure, straggler_cost(rates, base, goal, times), below, footer)
    return figure


def _bars(axes: Axes, named: Named, rates: dict[str, float], base: str) -> None:
    for y, (label, run) in enumerate(named):
        axes.barh(y, rates[label], 0.68, facecolor=style(run.strategy)[0])
        words = human_count(rates[label]) + (f"  {rates[label] / rates[base]:.1f}× {base}" if label != base else "")
        axes.annotate(words, (rates[label], y), (5, 0), textcoords="offset points", va="center_baseline", fontsize=10.5)
    axes.set_yticks(range(len(named)), [label for label, _ in named], color=INK)
    axes.set_ylim(len(named) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.6 * max(rates.values()))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}")
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("samples per second while all work")


def _losses(axes: Axes, named: Named, goal: float | None, times: dict[str, float | None]) -> None:
    """Lines of the loss, each with a mark where it reaches `goal`."""
    lows, highs, ends = [], [], []
    for index, (label, run) in enumerate(named):
        seconds, loss = loss_by_time(run)
        if not loss.size:
            continue
        colour, marker = style(run.strategy)
        look: dict[str, Any] = {"color": colour, "linestyle": ("-", "--", "-.", ":")[index % 4]}
        reached = times[label]
        axes.plot(seconds, loss, label=label if reached is None else f"{label}: {reached:.3g} s", **look)
        if reached is not None and goal is not None:
            axes.plot([reached], [goal], marker, color=colour, markersize=9, mec="white", zorder=3)
        lows.append(float(loss.min()))
        highs.append(float(loss.max()))
        ends.append(float(seconds[-1]))
    if not lows:
        axes.text(0.5, 0.5, "no run recorded losses", ha="center", transform=axes.transAxes)
        return
    if goal is not None:
        axes.axhline(goal, color=FAINT, linestyle=":", linewidth=1)
    if min(lows) > 0 and max(highs) > 8 * min(lows):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    else:
        axes.set_ylim(min(0.0, *lows), 1.05 * max(highs))
    axes.set_xlim(0, max(ends))
    axes.set_xlabel("seconds since the end of the first step")
    axes.set_ylabel("training loss, smoothed, mean over workers")
    title = None if goal is None else f"seconds to a loss of {goal:.2g}"
    axes.legend(loc="upper right", title=title, alignment="left", title_fontsize=10)
