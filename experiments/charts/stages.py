"""Where the time of a step goes: by its six stages, stacked, and by worker, so that a straggler stands out."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from common.records.stage_clock import STAGES
from experiments.charts.data import ChartData, by_label, panelled
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, bar_end, slide, wrapped
from experiments.charts.style import INK, look, records
from experiments.charts.titles import synchronisation
from experiments.comparison.model import Entry
from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_ms
from experiments.format.words import listed
from experiments.runs.frames import RunFrames
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

HIDDEN = "hidden_synchronize_seconds"
COLUMNS = (*(f"{stage}_seconds" for stage in STAGES), HIDDEN, "step_seconds", "repeats_step_seconds")
MANY, WIDE = 16, 0.36  # workers that have boxes at most, and how wide a box is
CUTS = (5, 25, 50, 75, 95)  # per cent, at the ends of whiskers and boxes and in the middle
STEP, OWN_WORK = ([f"{what}_seconds_p{cut}" for cut in CUTS] for what in ("step", "own"))


def stages(data: ChartData) -> Sheet:
    """Bars, the shortest step first: stages of the middle repeat, dots of all repeats. Absent without stage times."""
    shown, missing = data.read(data.focus, _read, "stage times")
    shown = shown.sort_values("step_seconds", kind="stable")
    figure, axes = slide()
    _stack(axes, shown)
    for y, entry in enumerate(records(shown)):
        ends, total = [1e3 * seconds for seconds in entry.repeats_step_seconds], entry.step_seconds
        share = f"{entry.synchronize_seconds / total:.0%} synchronize"
        words = "not comparable" if entry.refused else "synchronize in train" if entry.within_train else share
        bar_end(axes, y, 1e3 * total, ends, f"{human_ms(total)} ms, {words}", entry.refused)
    bands(axes, shown["short_name"])
    axes.set_xlim(0, 1.42e3 * shown["repeats_step_seconds"].map(max).max())
    axes.set_xlabel("milliseconds per step: mean over steps and workers, without warm-up")
    _legend(axes)
    shares = shown.assign(share=shown["synchronize_seconds"] / shown["step_seconds"])
    title = synchronisation(by_label(shares[shown["contends"] & ~shown["within_train"]], "share"))
    repeats = shown["repeats_step_seconds"].map(len).max()
    notes = ["Bars add up the stages; ms/step in tables is batch ÷ (samples/s), so it has the time between them, too."]
    notes += ["It is less than the bar where fast workers do not wait for slow ones."] * bool(shown["longer"].any())
    if repeats > 1:
        notes += [f"A bar is the repeat with the median throughput of {repeats}; a dot is the step time of a repeat."]
    return data.sheet(figure, title, shown, COLUMNS, missing=missing, notes=notes)


def _read(entry: Entry) -> list[dict[str, Any]] | None:
    known = [times for run in entry.runs if (times := _seconds(run)) is not None]
    if not known:
        return None
    middle = _seconds(entry.run) or known[0]
    return [{**middle, "repeats_step_seconds": tuple(times["step_seconds"] for times in known)}]


def _seconds(run: Run) -> dict[str, Any] | None:
    """Seconds of the stages in a step of the run; of the hidden part of synchronisation, which is in train; the sum.

    `longer`: the mean step of the workers is longer than the job takes for a batch.
    """
    times = stage_seconds_per_step(run)
    if not times or not (total := math.fsum(times.values())):
        return None
    rate = run.summary.samples_per_second
    return {
        **{f"{stage}_seconds": seconds for stage, seconds in times.items()},
        HIDDEN: hidden_seconds_per_step(run),
        "step_seconds": total,
        "longer": bool(rate) and total > 1.02 * run.summary.batch / (rate or 1.0),
    }


def _stack(axes: Axes, shown: pd.DataFrame) -> None:
    y, left = np.arange(len(shown)), np.zeros(len(shown))
    for stage in STAGES:
        width = 1e3 * shown[f"{stage}_seconds"].to_numpy(float)
        bars = axes.barh(y, width, 0.68, left, color=STAGE_COLOURS[stage], label=stage)
        for bar, refused in zip(bars, shown["refused"], strict=True):
            bar.set_alpha(0.3 if refused else 1.0)
        left += width
        if stage == "train" and shown[HIDDEN].any():
            hidden = 1e3 * shown[HIDDEN].to_numpy(float)
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": STAGE_COLOURS["synchronize"], "hatch": "////"}
            axes.barh(y, hidden, 0.68, left - hidden, label="synchronize, hidden", linewidth=0, **look)


def _legend(axes: Axes) -> None:
    """One line above the axes that begins at the figure's edge: it fits whatever room the labels of the runs take."""
    axes.set_title(" ", fontsize=13)  # keeps the room for it
    at = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    look: dict[str, Any] = {"ncols": 7, "columnspacing": 1.0, "handlelength": 1, "handletextpad": 0.5, "fontsize": 9}
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0.012, 1), bbox_transform=at, **look)
    legend.set_in_layout(False)


def step_times(data: ChartData) -> Sheet:
    """A panel an entry, a pair of boxes a worker. Absent if no run recorded steps."""
    every, missing = data.read(data.focus, _quantiles, "steps")
    compared = every.loc[every["contends"], STEP[-1]]
    top = 1.08 * (compared if len(compared) else every[STEP[-1]]).max()
    beyond = every[every.groupby("label")[STEP[0]].transform("min") > top]  # a panel of it would be empty
    figure, parts, no_room = panelled(every.drop(index=beyond.index), sharey=True)
    for axes, part in parts:
        _panel(axes, part)
        axes.set_ylabel("milliseconds" if axes.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]
    parts[0][0].set_ylim(0, 1e3 * top)
    parts[0][0].yaxis.set_major_locator(MaxNLocator(4))
    shown = pd.concat(part for _, part in parts)
    notes = [
        "Pale boxes are whole steps, strong ones the worker's own work: all stages but synchronize.",
        "Boxes are quartiles, lines at them go from 5% to 95% of the steps of all repeats, without warm-up.",
    ]
    for words, rows in (("Lines that leave the picture", shown), ("Steps longer than the picture", beyond)):
        tops = rows.groupby("label", sort=False)[STEP[-1]].max()
        cut = [f"{label} (up to {human_ms(most)} ms)" for label, most in tops.items() if most > top]
        notes += [f"{words}: {listed(cut)}."] if cut else []
    notes += ["Of many workers: bands and lines, whole steps dashed."] * any(len(part) > MANY for _, part in parts)
    return data.sheet(
        figure,
        "Time of a step, by worker",
        shown,
        ("worker", *STEP, *OWN_WORK),
        missing=missing,
        notes=[*notes, *no_room],
    )


def _quantiles(entry: Entry) -> list[dict[str, Any]] | None:
    """One row a worker: seconds of its whole steps, and of its own work in them, at the cuts; of all repeats."""
    frames = RunFrames(entry.runs)
    steps = frames.steps[frames.steps["role"] == "worker"]
    warmup = steps["run"].map(frames.runs.set_index("run")["warmup_steps"]).astype(int)
    steady = steps[(steps.groupby(["run", "rank"], observed=True).cumcount() >= warmup) & ~steps["skipped"]]
    if steady.empty:
        return None
    whole = steady["ended"] - steady["began"]
    own = (whole - steady["seconds.synchronize"]).clip(lower=0)
    cuts = pd.DataFrame({"step": whole, "own": own}).groupby(steady["rank"]).quantile(np.array(CUTS) / 100)
    table = pd.DataFrame(cuts.unstack().to_numpy(), columns=[*STEP, *OWN_WORK])
    found: list[dict[str, Any]] = table.assign(worker=sorted(steady["rank"].unique())).to_dict("records")  # type: ignore[assignment]
    return found


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    colour = look(part.iloc[0]).colour
    if len(part) > MANY:
        _bands(axes, part, colour)
    else:
        for place, worker in enumerate((1e3 * part[[*STEP, *OWN_WORK]]).to_numpy()):
            _box(axes, place - WIDE / 2, worker[: len(CUTS)], colour, 0.35)
            _box(axes, place + WIDE / 2, worker[len(CUTS) :], colour, 1.0)
    every = max(1, len(part) // 8)
    axes.set_xticks(range(0, len(part), every), [str(rank) for rank in part["worker"][::every]])
    axes.set_xlim(-0.6, max(len(part), 2) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("worker", fontsize=9.5, labelpad=1)
    axes.set_title(wrapped(part["name"].iloc[0], 22))


def _bands(axes: Axes, part: pd.DataFrame, colour: str) -> None:
    """Draw the quartiles of many workers as bands, and the medians as lines."""
    for columns, strength, dashes in ((STEP, 0.35, "--"), (OWN_WORK, 1.0, "-")):
        _, first, middle, third, _ = (1e3 * part[columns]).to_numpy().T
        axes.fill_between(range(len(part)), first, third, color=colour, alpha=0.4 * strength, linewidth=0)
        axes.plot(range(len(part)), middle, linestyle=dashes, color=colour, linewidth=1.4)


def _box(axes: Axes, x: float, cuts: Any, colour: str, strength: float) -> None:
    low, first, middle, third, high = cuts
    stats = [{"whislo": low, "q1": first, "med": middle, "q3": third, "whishi": high, "fliers": []}]
    thin = {"color": colour, "linewidth": 1.0}
    style: dict[str, Any] = {"whiskerprops": thin, "medianprops": {"color": INK, "linewidth": 1.2}}
    style["boxprops"] = {"edgecolor": colour, "linewidth": 0.8}
    hidden: dict[str, Any] = {"showfliers": False, "showcaps": False, "manage_ticks": False}
    for box in axes.bxp(stats, [x], widths=WIDE * 0.9, patch_artist=True, **hidden, **style)["boxes"]:
        box.set_facecolor((colour, strength))
