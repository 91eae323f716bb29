"""Who sends how much to whom: rank × rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize

from experiments.charts.material import Absent, Material, Series
from experiments.charts.picture import Sheet
from experiments.charts.slide import blank, panels, wrapped
from experiments.charts.style import FAINT, INK
from experiments.comparison import Entry
from experiments.units import human_bytes

PANELS, ACROSS = 8, 4
ROOM = 6  # ranks, at most, whose cells have room for a number
Matrix = tuple[list[str], dict[tuple[int, int], float]]  # names of ranks; bytes in a step by (sender, receiver)


def traffic_between(material: Material) -> Sheet:
    """A panel an entry, one scale for all. Absent if no run knows, or nothing was sent."""
    contest = material.focus
    every, missing = material.read(contest.entries, _matrix, "who sent to whom")
    talking = [s for s in every if s.data[1]]
    if not talking:
        raise Absent("nothing was sent between processes")
    shown = sorted(talking, key=lambda s: not s.contends)[:PANELS]
    scale = Normalize(0.0, max(max(s.data[1].values()) for s in shown))
    colours = colormaps["cividis_r"].resampled(32)  # each of them is a path in a drawing
    figure = blank()
    many = panels(figure, len(shown), ACROSS)
    columns = -(-len(shown) // -(-len(shown) // ACROSS))
    for index, (axes, s) in enumerate(zip(many, shown, strict=True)):
        _panel(axes, s, scale, colours)
        if len(s.data[0]) <= ROOM and len(shown) <= ACROSS:
            _numbers(axes, s, scale)
        if index % columns == 0:
            axes.set_ylabel("from", fontsize=9, labelpad=1)
        if index + columns >= len(shown):
            axes.set_xlabel("to", fontsize=9, labelpad=1)
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=many, shrink=0.8, pad=0.03, aspect=30)
    bar.ax.yaxis.set_major_formatter(lambda value, _: human_bytes(value).replace(".0 ", " "))
    bar.set_label("payload in a step", color=FAINT)
    bar.outline.set_visible(False)
    quiet = [s.label for s in every if not s.data[1]]
    notes = ["w: worker, s: server; white: nothing."]
    notes += [f"Nothing is sent by {', '.join(quiet)}."] if quiet else []
    notes += (
        [f"No room for {', '.join(s.label for s in talking if s not in shown)}."] if len(shown) < len(talking) else []
    )
    return material.sheet(
        figure, _title(shown), shown, _rows(shown), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _matrix(entry: Entry) -> Matrix | None:
    run = entry.run
    known, steps = run.summary.get("bytes_between"), run.number("steps_done")
    if not isinstance(known, Mapping) or not steps:
        return None
    servers = int(run.number("servers") or 0)
    workers = _ranks(known) - servers
    names = list(known)
    cells = {
        (names.index(sender), names.index(receiver)): count / steps
        for sender, row in known.items()
        for receiver, count in row.items()
    }
    return [_name(name, workers) for name in names], cells


def _ranks(known: Mapping[str, Any]) -> int:
    return 1 + max(int(name.rpartition("-")[2]) for name in known)


def _name(name: str, workers: int) -> str:
    """`w0`, `s0`; of groups `w0-3`."""
    first, _, last = name.partition("-")
    letter, start = ("w", 0) if int(first) < workers else ("s", workers)
    return f"{letter}{int(first) - start}" + (f"-{int(last) - start}" if last else "")


def _panel(axes: Axes, s: Series, scale: Normalize, colours: Colormap) -> None:
    names, cells = s.data
    squares = [[(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)] for y, x in cells]
    shades = colours(scale(np.array(list(cells.values()))))
    shades[:, 3] = 0.35 if s.refused else 1.0
    axes.add_collection(
        PolyCollection(squares, facecolors=shades, edgecolors="white", linewidths=0.6 if len(names) <= 12 else 0.2)
    )
    every = max(1, -(-len(names) // 8))
    ticks = range(0, len(names), every)
    axes.set_xticks(ticks, [names[tick] for tick in ticks], fontsize=7.5, rotation=90 if len(names) > 12 else 0)
    axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=7.5)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set_title(wrapped(s.name, 16), fontsize=9.5, color=INK, loc="left")


def _numbers(axes: Axes, s: Series, scale: Normalize) -> None:
    """The bytes of each pair, in its cell."""
    for (y, x), value in s.data[1].items():
        colour = "white" if scale(value) > 0.55 and not s.refused else INK
        text = human_bytes(value).replace(" ", "\n")
        axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=colour, linespacing=0.9)


def _title(shown: list[Series]) -> str:
    """How many pairs of ranks talk, where the fewest and where the most do."""
    pairs = {s.label: len(s.data[1]) for s in shown if s.contends}
    if not pairs:
        return "Who sends how much to whom"
    few, many = min(pairs, key=pairs.__getitem__), max(pairs, key=pairs.__getitem__)
    if pairs[few] == pairs[many]:
        return f"{pairs[few]} ordered pairs of ranks talk" + (" in each strategy" if len(pairs) > 1 else f" in {few}")
    return f"{pairs[few]} ordered pairs of ranks talk in {few}, {pairs[many]} in {many}"


def _rows(shown: list[Series]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "from": s.data[0][sender],
            "to": s.data[0][receiver],
            "bytes_per_step": value,
            "not_comparable": s.entry.refused,
        }
        for s in shown
        for (sender, receiver), value in s.data[1].items()
    ]
