"""How long each worker's steps took, and how much of them was its own work: a straggler stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.charts.data import ChartData, panelled
from experiments.charts.export import Sheet
from experiments.charts.layout import ACROSS, blank, panels, wrapped
from experiments.charts.style import INK, look
from experiments.comparison.model import Entry
from experiments.format.units import human_ms
from experiments.format.words import listed
from experiments.runs.frames import RunFrames

MANY, WIDE = 16, 0.36  # workers that have boxes at most, and how wide a box is
CUTS = (5, 25, 50, 75, 95)  # per cent, at the ends of whiskers and boxes and in the middle
WHOLE, OWN = ([f"{what}_seconds_p{cut}" for cut in CUTS] for what in ("step", "own"))


def step_times(data: ChartData) -> Sheet:
    """A panel an entry, a pair of boxes a worker. Absent if no run recorded steps."""
    every, missing = data.read(data.focus, _quantiles, "steps")
    compared = every.loc[every["contends"], WHOLE[-1]]
    top = 1.08 * (compared if len(compared) else every[WHOLE[-1]]).max()
    beyond = every[every.groupby("label")[WHOLE[0]].transform("min") > top]  # a panel of it would be empty
    parts, no_room = panelled(every.drop(index=beyond.index))
    shown = pd.concat(parts)
    figure = blank()
    many = panels(figure, len(parts), sharey=True)
    for axes, part in zip(many, parts, strict=True):
        _panel(axes, part)
    many[0].set_ylim(0, 1e3 * top)
    many[0].yaxis.set_major_locator(MaxNLocator(4))
    for axes in many[:: -(-len(parts) // -(-len(parts) // ACROSS))]:
        axes.set_ylabel("milliseconds")
    notes = [
        "Pale boxes are whole steps, strong ones the worker's own work: all stages but synchronize.",
        "Boxes are quartiles, lines at them go from 5% to 95% of the steps of all repeats, without warm-up.",
    ]
    for words, rows in (("Lines that leave the picture", shown), ("Steps longer than the picture", beyond)):
        tops = rows.groupby("label", sort=False)[WHOLE[-1]].max()
        cut = [f"{label} (up to {human_ms(most)} ms)" for label, most in tops.items() if most > top]
        notes += [f"{words}: {listed(cut)}."] if cut else []
    notes += ["Of many workers: bands and lines, whole steps dashed."] * any(len(part) > MANY for part in parts)
    return data.sheet(figure, _title(shown), shown, ("worker", *WHOLE, *OWN), missing=missing, notes=[*notes, *no_room])


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
    table = pd.DataFrame(cuts.unstack().to_numpy(), columns=[*WHOLE, *OWN])
    found: list[dict[str, Any]] = table.assign(worker=sorted(steady["rank"].unique())).to_dict("records")  # type: ignore[assignment]
    return found


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    colour = look(part.iloc[0]).colour
    if len(part) > MANY:
        _bands(axes, part, colour)
    else:
        for place, worker in enumerate((1e3 * part[[*WHOLE, *OWN]]).to_numpy()):
            _box(axes, place - WIDE / 2, worker[: len(CUTS)], colour, 0.35)
            _box(axes, place + WIDE / 2, worker[len(CUTS) :], colour, 1.0)
    every = max(1, len(part) // 8)
    axes.set_xticks(range(0, len(part), every), [str(rank) for rank in part["worker"][::every]])
    axes.set_xlim(-0.6, max(len(part), 2) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("worker", fontsize=9.5, labelpad=1)
    axes.set_title(wrapped(part["name"].iloc[0], 22), fontsize=9.5, loc="left", color=INK)


def _bands(axes: Axes, part: pd.DataFrame, colour: str) -> None:
    """Draw the quartiles of many workers as bands, and the medians as lines."""
    for columns, strength, dashes in ((WHOLE, 0.35, "--"), (OWN, 1.0, "-")):
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


def _title(shown: pd.DataFrame) -> str:
    """Name the contender whose workers differ most in their own work."""
    middle = OWN[CUTS.index(50)]
    worst = (0.0, 0.0, 0, "")  # how many times the middle worker's, seconds, rank, label
    for label, part in shown[shown["contends"]].groupby("label", sort=False):
        usual = part[middle].sort_values().iloc[(len(part) - 1) // 2]
        slowest = part.sort_values(middle).iloc[-1]
        if len(part) > 1 and usual:
            worst = max(worst, (slowest[middle] / usual, slowest[middle], slowest["worker"], str(label)))
    times, seconds, rank, label = worst
    if not times:
        return "Time of a step, by worker"
    if times < 1.25:
        return f"No straggler: the workers' own work takes equally long, to within {times - 1:.0%}"
    return f"Worker {rank} is the straggler: {human_ms(seconds)} ms of own work, {times:.1f}× the others ({label})"
