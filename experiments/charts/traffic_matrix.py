"""How much each rank sends to each other: rank × rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from experiments.charts.data import Absent, ChartData, panelled, records
from experiments.charts.export import Sheet
from experiments.charts.layout import ACROSS, blank, panels, wrapped
from experiments.charts.style import FAINT, INK
from experiments.charts.titles import some
from experiments.comparison.model import Entry
from experiments.format.units import human_bytes

ROOM = 6  # ranks, at most, whose cells have room for a number
PATTERNS = 3  # in a title, at most
MEAN = "bytes_per_step_and_rank"
COLUMNS = ("from", "to", "bytes_per_step", MEAN)


def traffic_between(data: ChartData) -> Sheet:
    """A panel an entry, one scale for all. Absent if no run knows the pairs, or nothing was sent."""
    every, missing = data.read(data.focus, _cells, "bytes by sender and receiver")
    if every.empty:
        raise Absent("nothing was sent between processes")
    parts, no_room = panelled(every)
    shown = pd.concat(parts)
    scale = Normalize(0.0, shown[MEAN].max())
    colours = colormaps["cividis_r"].resampled(32)  # each of them is a path in a drawing
    figure = blank()
    many = panels(figure, len(parts))
    columns = -(-len(parts) // -(-len(parts) // ACROSS))
    for index, (axes, part) in enumerate(zip(many, parts, strict=True)):
        _panel(axes, part, scale, colours)
        if len(part["ranks"].iloc[0]) <= ROOM and len(parts) <= ACROSS:
            _numbers(axes, part, scale)
        axes.set_ylabel("" if index % columns else "from", fontsize=9, labelpad=1)
        axes.set_xlabel("to" if index + columns >= len(parts) else "", fontsize=9, labelpad=1)
    grouped = [next(name for name in part["ranks"].iloc[0] if "-" in name) for part in parts if _grouped(part)]
    _colour_bar(figure, many, ScalarMappable(scale, colours), bool(grouped))
    notes = ["w: worker, s: server; white: nothing."]
    if grouped:
        named = " or ".join(dict.fromkeys(grouped))
        notes.append(f"{named}: ranks put together; a cell is the mean over the ranks of the larger group.")
    quiet = [label for label in data.focus["label"] if label not in {*every["label"], *missing}]
    notes += [f"Nothing is sent by {', '.join(quiet)}."] if quiet else []
    return data.sheet(figure, _title(parts), shown, COLUMNS, missing=missing, notes=[*notes, *no_room])


def _cells(entry: Entry) -> list[dict[str, Any]] | None:
    """One row a pair of ranks, or of groups of them: their names and places, and the bytes of the middle repeat."""
    summary = entry.run.summary
    known, steps = summary.bytes_between, summary.steps_done
    if known is None or not steps:
        return None
    workers = 1 + max(int(name.rpartition("-")[2]) for name in known) - summary.servers
    places, sizes = {name: place for place, name in enumerate(known)}, {name: _size(name) for name in known}
    names = {name: _name(name, workers) for name in known}
    return [
        {
            "sender": places[sender],
            "receiver": places[receiver],
            "from": names[sender],
            "to": names[receiver],
            "bytes_per_step": count / steps,
            # Bytes for each rank of the larger group, so that groups of any size have comparable colours.
            MEAN: count / steps / max(sizes[sender], sizes[receiver]),
            "ranks": tuple(names.values()),
            "sizes": tuple(sizes.values()),
        }
        for sender, receivers in known.items()
        for receiver, count in receivers.items()
    ]


def _name(name: str, workers: int) -> str:
    """`w0`, `s0`; of groups `w0-3`."""
    first, _, last = name.partition("-")
    letter, start = ("w", 0) if int(first) < workers else ("s", workers)
    return f"{letter}{int(first) - start}" + (f"-{int(last) - start}" if last else "")


def _size(name: str) -> int:
    first, _, last = name.partition("-")
    return int(last or first) - int(first) + 1


def _grouped(part: pd.DataFrame) -> bool:
    return bool(max(part["sizes"].iloc[0]) > 1)


def _panel(axes: Axes, part: pd.DataFrame, scale: Normalize, colours: Colormap) -> None:
    names = part["ranks"].iloc[0]
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squares = part[["receiver", "sender"]].to_numpy()[:, None] + corners
    shades = colours(scale(part[MEAN].to_numpy()))
    shades[:, 3] = 0.35 if part["refused"].iloc[0] else 1.0
    wide = 0.6 if len(names) <= 12 else 0.2
    axes.add_collection(PolyCollection(list(squares), facecolors=shades, edgecolors="white", linewidths=wide))
    ticks = range(0, len(names), max(1, -(-len(names) // 8)))
    axes.set_xticks(ticks, [names[tick] for tick in ticks], fontsize=7.5, rotation=90 if len(names) > 12 else 0)
    axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=7.5)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set_title(wrapped(part["name"].iloc[0], 16), fontsize=9.5, color=INK, loc="left")


def _numbers(axes: Axes, part: pd.DataFrame, scale: Normalize) -> None:
    """The bytes of each pair, in its cell."""
    for cell in records(part):
        dark = scale(cell.bytes_per_step_and_rank) > 0.55 and not cell.refused
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "linespacing": 0.9}
        text = human_bytes(cell.bytes_per_step_and_rank).replace(" ", "\n")
        axes.text(cell.receiver, cell.sender, text, color="white" if dark else INK, **look)


def _colour_bar(figure: Figure, many: Sequence[Axes], scale: ScalarMappable, grouped: bool) -> None:
    bar = figure.colorbar(scale, ax=many, shrink=0.8, pad=0.03, aspect=30)
    bar.ax.yaxis.set_major_formatter(lambda value, _: human_bytes(value).replace(".0 ", " "))
    bar.set_label(f"payload in a step{' for each rank' if grouped else ''}", color=FAINT)
    bar.outline.set_visible(False)


def _title(parts: Sequence[pd.DataFrame]) -> str:
    """The patterns: first strategies in which all goes through one rank, then to how many others a rank sends."""
    through: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for part in parts:
        label = str(part["label"].iloc[0])
        if part["contends"].iloc[0]:
            if hub := _hub(part):
                through.setdefault(f"everything goes through {hub}", []).append(label)
            elif words := _degree(part):
                others.setdefault(words, []).append(label)
    patterns = [f"in {some(labels)} {words}" for words, labels in [*through.items(), *others.items()]]
    text = "; ".join(patterns[:PATTERNS])
    return text[:1].upper() + text[1:] if text else "Payload by sender and receiver"


def _hub(part: pd.DataFrame) -> str:
    """`s0`, `its 2 servers`, `w0`: the ranks at one end of all that is sent; empty if there are none."""
    names, sizes = part["ranks"].iloc[0], part["sizes"].iloc[0]
    pairs = [{cell.sender, cell.receiver} for cell in records(part)]
    servers = {place for place, name in enumerate(names) if name.startswith("s")}
    if servers and all(servers & pair for pair in pairs):
        count = sum(sizes[place] for place in servers)
        return names[min(servers)] if count == 1 else f"its {count} servers"
    alone = [place for place in set.intersection(*pairs) if sizes[place] == 1 and len(names) > 2]
    return str(names[alone[0]]) if len(alone) == 1 else ""


def _degree(part: pd.DataFrame) -> str:
    """To how many others a rank sends; empty where ranks were put together, because then it is not known."""
    if _grouped(part):
        return ""
    ranks = len(part["ranks"].iloc[0])
    counts = part["sender"].value_counts().reindex(range(ranks), fill_value=0)
    most = counts.max()
    if counts.min() < most:
        return f"no rank sends to more than {most} {'other' if most == 1 else 'others'}"
    return f"each rank sends to {'one other' if most == 1 else 'all' if most == ranks - 1 else f'{most} others'}"
