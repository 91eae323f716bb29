"""Who sends how much to whom: rank × rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize

from experiments.charts.export import Sheet
from experiments.charts.layout import blank, panels, wrapped
from experiments.charts.material import Absent, Material, Series
from experiments.charts.style import FAINT, INK
from experiments.comparison import Entry
from experiments.format.units import human_bytes
from experiments.format.words import listed

PANELS, ACROSS = 8, 4
ROOM = 6  # ranks, at most, whose cells have room for a number
TOLD, NAMED = 3, 4  # patterns in a title, and the labels of one, at most


@dataclass(frozen=True)
class _Matrix:
    """Ranks, or groups of them: their names, how many ranks each is, and bytes in a step by (sender, receiver)."""

    names: Sequence[str]
    sizes: Sequence[int]
    cells: Mapping[tuple[int, int], float]

    @property
    def grouped(self) -> bool:
        return max(self.sizes) > 1

    def mean(self, pair: tuple[int, int]) -> float:
        """Bytes for each rank of the larger group, so that groups of any size have comparable colours."""
        return self.cells[pair] / max(self.sizes[end] for end in pair)

    @property
    def most(self) -> float:
        return max(map(self.mean, self.cells))


def traffic_between(material: Material) -> Sheet:
    """A panel an entry, one scale for all. Absent if no run knows, or nothing was sent."""
    contest = material.focus
    every, missing = material.read(contest.entries, _matrix, "who sent to whom")
    talking = [s for s in every if s.data.cells]
    if not talking:
        raise Absent("nothing was sent between processes")
    shown = sorted(talking, key=lambda s: not s.contends)[:PANELS]
    scale = Normalize(0.0, max(s.data.most for s in shown))
    colours = colormaps["cividis_r"].resampled(32)  # each of them is a path in a drawing
    figure = blank()
    many = panels(figure, len(shown), ACROSS)
    columns = -(-len(shown) // -(-len(shown) // ACROSS))
    for index, (axes, s) in enumerate(zip(many, shown, strict=True)):
        _panel(axes, s, scale, colours)
        if len(s.data.names) <= ROOM and len(shown) <= ACROSS:
            _numbers(axes, s, scale)
        if index % columns == 0:
            axes.set_ylabel("from", fontsize=9, labelpad=1)
        if index + columns >= len(shown):
            axes.set_xlabel("to", fontsize=9, labelpad=1)
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=many, shrink=0.8, pad=0.03, aspect=30)
    bar.ax.yaxis.set_major_formatter(lambda value, _: human_bytes(value).replace(".0 ", " "))
    groups = [next(name for name in s.data.names if "-" in name) for s in shown if s.data.grouped]
    bar.set_label(f"payload in a step{' for each rank' if groups else ''}", color=FAINT)
    bar.outline.set_visible(False)
    quiet = [s.label for s in every if not s.data.cells]
    notes = ["w: worker, s: server; white: nothing."]
    if groups:
        named = " or ".join(dict.fromkeys(groups))
        notes.append(f"{named}: ranks put together; a cell is the mean over the ranks of the larger group.")
    notes += [f"Nothing is sent by {', '.join(quiet)}."] if quiet else []
    notes += (
        [f"No room for {', '.join(s.label for s in talking if s not in shown)}."] if len(shown) < len(talking) else []
    )
    return material.sheet(
        figure, _title(shown), shown, _rows(shown), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _matrix(entry: Entry) -> _Matrix | None:
    run = entry.run
    known, steps = run.summary.bytes_between, run.summary.steps_done
    if not known or not steps:
        return None
    workers = _ranks(known) - run.summary.servers
    places = {name: place for place, name in enumerate(known)}
    cells = {
        (places[sender], places[receiver]): count / steps
        for sender, row in known.items()
        for receiver, count in row.items()
    }
    return _Matrix([_name(name, workers) for name in known], [_size(name) for name in known], cells)


def _ranks(known: Mapping[str, Any]) -> int:
    return 1 + max(int(name.rpartition("-")[2]) for name in known)


def _name(name: str, workers: int) -> str:
    """`w0`, `s0`; of groups `w0-3`."""
    first, _, last = name.partition("-")
    letter, start = ("w", 0) if int(first) < workers else ("s", workers)
    return f"{letter}{int(first) - start}" + (f"-{int(last) - start}" if last else "")


def _size(name: str) -> int:
    first, _, last = name.partition("-")
    return int(last or first) - int(first) + 1


def _panel(axes: Axes, s: Series, scale: Normalize, colours: Colormap) -> None:
    its: _Matrix = s.data
    names = its.names
    squares = [[(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)] for y, x in its.cells]
    shades = colours(scale(np.array([its.mean(pair) for pair in its.cells])))
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
    for y, x in s.data.cells:
        value = s.data.mean((y, x))
        colour = "white" if scale(value) > 0.55 and not s.refused else INK
        text = human_bytes(value).replace(" ", "\n")
        axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=colour, linespacing=0.9)


def _title(shown: list[Series]) -> str:
    """Who talks to whom, in words: first where all goes through somebody, then to how many others a rank sends."""
    through: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for s in shown:
        if s.contends and (hub := _hub(s.data)):
            through.setdefault(f"everything goes through {hub}", []).append(s.label)
        elif s.contends and (words := _degree(s.data)):
            others.setdefault(words, []).append(s.label)
    told = [f"in {_some(labels)} {words}" for words, labels in [*through.items(), *others.items()]][:TOLD]
    text = "; ".join(told)
    return text[:1].upper() + text[1:] if text else "Who sends how much to whom"


def _hub(its: _Matrix) -> str:
    """`s0`, `its 2 servers`, `w0`: who is at one end of all that is sent; empty if nobody is."""
    servers = [place for place, name in enumerate(its.names) if name.startswith("s")]
    if servers and all(set(servers) & set(pair) for pair in its.cells):
        count = sum(its.sizes[place] for place in servers)
        return its.names[servers[0]] if count == 1 else f"its {count} servers"
    ends = set.intersection(*map(set, its.cells))
    alone = [place for place in ends if its.sizes[place] == 1 and len(its.names) > 2]
    return its.names[alone[0]] if len(alone) == 1 else ""


def _degree(its: _Matrix) -> str:
    """To how many others a rank sends; empty where ranks were put together, so that nobody knows."""
    if its.grouped:
        return ""
    counts = [sum(sender == place for sender, _ in its.cells) for place in range(len(its.names))]
    most = max(counts)
    if min(counts) < most:
        return f"no rank sends to more than {most} {'other' if most == 1 else 'others'}"
    return f"each rank sends to {'one other' if most == 1 else 'all' if most == len(counts) - 1 else f'{most} others'}"


def _some(labels: Sequence[str]) -> str:
    return listed(labels) if len(labels) <= NAMED else f"{len(labels)} of them"


def _rows(shown: list[Series]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "from": s.data.names[sender],
            "to": s.data.names[receiver],
            "bytes_per_step": value,
            "bytes_per_step_and_rank": s.data.mean((sender, receiver)),
            "not_comparable": s.entry.refused,
        }
        for s in shown
        for (sender, receiver), value in s.data.cells.items()
    ]
