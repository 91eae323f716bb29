"""Bytes that each process sends and receives, and that each sends to each other: a hub stands out."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.charts.data import Absent, ChartData, by_label, panelled
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, size_tick, slide, wrapped
from experiments.charts.style import ALARM, FAINT, INK, look, records
from experiments.charts.titles import hub, hubs
from experiments.comparison.model import Entry
from experiments.format.units import human_bytes
from experiments.runs.frames import RunFrames

MANY = 10  # bars of one role in a band; of more ranks three are shown
SERVER: dict[str, Any] = {"edgecolor": INK, "hatch": "//////", "linewidth": 0.6}
SENT, RECEIVED = "sent_bytes_per_step", "received_bytes_per_step"
ROOM = 6  # ranks, at most, whose cells have room for a number
MEAN = "bytes_per_step_and_rank"


def traffic(data: ChartData) -> Sheet:
    """Received to the left, sent to the right, a bar a process. Absent if no run's bytes are known."""
    shown, missing = data.read(data.focus, _bars, "bytes sent")
    shown["top"] = shown.groupby("label")[SENT].transform("max")
    shown = shown.sort_values("top", ascending=False, kind="stable")
    top = shown[[SENT, RECEIVED]].max().max()
    unit, scale = ("MiB", 2**20) if top >= 2**20 else ("KiB", 2**10)
    figure, axes = slide()
    entries = [part for _, part in shown.groupby("label", sort=False)]
    for y, part in enumerate(entries):
        _band(axes, part, y, scale)
    bands(axes, [part["name"].iloc[0] for part in entries])
    wide = 1.04 * top / scale or 1.0
    axes.set_xlim(-wide, wide)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10], symmetric=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(f"{unit} of payload in a step:  ← received by each process | sent by each process →")
    if (shown["role"] == "server").any():
        handles = [Patch(fc="#BBBBBB", label="server", **SERVER), Patch(fc="#BBBBBB", label="worker")]
        axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    some = shown["process"].str.contains(" of ").any()
    notes = [f"Of more than {MANY} workers the busiest, the middle and the least busy."] if some else []
    title = hubs(by_label(shown[shown["contends"]], "hub"))
    return data.sheet(figure, title, shown, ("role", "process", SENT, RECEIVED), missing=missing, notes=notes)


def _bars(entry: Entry) -> list[dict[str, Any]] | None:
    """The bars of the middle repeat: the bytes of synchronous strategies do not differ between repeats."""
    ranks, steps = RunFrames((entry.run,)).ranks, entry.run.summary.steps_done
    known = ranks[ranks["bytes_sent"].notna()]
    if known.empty or not steps:
        return None
    per_step = pd.DataFrame({SENT: known["bytes_sent"], RECEIVED: known["bytes_received"]}).astype(float) / steps
    roles = known["role"].astype(str)
    bars = pd.concat([_few(role, per_step[roles == role]) for role in ("server", "worker")])
    ratio, words = hub(*(per_step.loc[roles == role, SENT].tolist() for role in ("server", "worker")))
    found: list[dict[str, Any]] = bars.assign(hub=ratio, words=words).to_dict("records")  # type: ignore[assignment]
    return found


def _few(role: str, sent: pd.DataFrame) -> pd.DataFrame:
    """A bar for each rank; of many the busiest, the middle and the least busy."""
    names, bars = [str(number) for number in range(len(sent))], sent
    if len(sent) > MANY:
        bars = sent.loc[sent.sum(axis=1).sort_values(ascending=False, kind="stable").index]
        bars = bars.iloc[[0, len(bars) // 2, -1]]
        names = [f"{name} of {len(sent)}" for name in ("busiest", "median", "least busy")]
    return bars.assign(role=role, process=names)


def _band(axes: Axes, part: pd.DataFrame, y: int, scale: float) -> None:
    """Draw the bars of one entry, and how many times the median of the others its busiest process sends."""
    first: Any = part.iloc[0]
    height = 0.8 / len(part)
    for index, bar in enumerate(records(part.fillna({RECEIVED: 0.0}))):
        style = {"facecolor": look(first).colour, **(SERVER if bar.role == "server" else {})}
        at = y - 0.4 + (index + 0.5) * height
        axes.barh(at, bar.sent_bytes_per_step / scale, 0.84 * height, **style)
        axes.barh(at, -bar.received_bytes_per_step / scale, 0.84 * height, alpha=0.6, **style)
    column: dict[str, Any] = {"va": "center", "fontsize": 9.5, "color": ALARM if first.refused else INK}
    text = "not comparable" if first.refused else first.words.replace(", ", ",\n")
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), **column)  # aligned: bars may be as long as the axes


def traffic_between(data: ChartData) -> Sheet:
    """A panel an entry, a cell for each pair of ranks, one scale. Absent if no pair is known or used."""
    every, missing = data.read(data.focus, _cells, "bytes by sender and receiver")
    if every.empty:
        raise Absent("nothing was sent between processes")
    figure, parts, no_room = panelled(every)
    shown = pd.concat(part for _, part in parts)
    # Each of the 32 colours is a path in a drawing.
    scale = ScalarMappable(Normalize(0.0, shown[MEAN].max()), colormaps["cividis_r"].resampled(32))
    columns = parts[0][0].get_gridspec().ncols  # type: ignore[union-attr]
    for index, (axes, part) in enumerate(parts):
        _matrix(axes, part, scale)
        if len(part["ranks"].iloc[0]) <= ROOM and len(parts) <= columns:
            _numbers(axes, part, scale)
        axes.set_ylabel("" if index % columns else "from", fontsize=9, labelpad=1)
        axes.set_xlabel("to" if index + columns >= len(parts) else "", fontsize=9, labelpad=1)
    grouped = shown.loc[shown["sizes"].map(max) > 1, "ranks"].drop_duplicates()
    bar = figure.colorbar(scale, ax=[axes for axes, _ in parts], shrink=0.8, pad=0.03, aspect=30)
    bar.ax.yaxis.set_major_formatter(lambda value, _: size_tick(value))
    bar.set_label(f"payload in a step{'' if grouped.empty else ' for each rank'}", color=FAINT)
    bar.outline.set_visible(False)
    notes = ["w: worker, s: server; white: nothing."]
    if len(grouped):
        named = " or ".join(dict.fromkeys(next(name for name in names if "-" in name) for names in grouped))
        notes.append(f"{named}: ranks put together; a cell is the mean over the ranks of the larger group.")
    quiet = [label for label in data.focus["label"] if label not in {*every["label"], *missing}]
    notes += [f"Nothing is sent by {', '.join(quiet)}."] if quiet else []
    title, columns_shown = "Payload of a step, by sender and receiver", ("from", "to", "bytes_per_step", MEAN)
    return data.sheet(figure, title, shown, columns_shown, missing=missing, notes=[*notes, *no_room])


def _cells(entry: Entry) -> list[dict[str, Any]] | None:
    """One row a pair of ranks, or of groups of them: their names and places, and the bytes of the middle repeat."""
    summary = entry.run.summary
    known, steps = summary.bytes_between, summary.steps_done
    if known is None or not steps:
        return None
    groups = [[int(rank) for rank in name.split("-")] for name in known]  # the first rank, and the last of several
    workers = 1 + max(last for *_, last in groups) - summary.servers
    roles = [("w", 0) if group[0] < workers else ("s", workers) for group in groups]
    names = [
        role + "-".join(str(rank - start) for rank in group) for (role, start), group in zip(roles, groups, strict=True)
    ]
    sizes = [group[-1] - group[0] + 1 for group in groups]
    places = {name: place for place, name in enumerate(known)}
    return [
        {
            "sender": (sender := places[sends]),
            "receiver": (receiver := places[receives]),
            "from": names[sender],
            "to": names[receiver],
            "bytes_per_step": count / steps,
            # Bytes for each rank of the larger group, so that groups of any size have comparable colours.
            MEAN: count / steps / max(sizes[sender], sizes[receiver]),
            "ranks": tuple(names),
            "sizes": tuple(sizes),
        }
        for sends, receivers in known.items()
        for receives, count in receivers.items()
    ]


def _matrix(axes: Axes, part: pd.DataFrame, scale: ScalarMappable) -> None:
    names = part["ranks"].iloc[0]
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squares = part[["receiver", "sender"]].to_numpy()[:, None] + corners
    shades = scale.to_rgba(part[MEAN].to_numpy())
    shades[:, 3] = 0.35 if part["refused"].iloc[0] else 1.0
    wide = 0.6 if len(names) <= 12 else 0.2
    axes.add_collection(PolyCollection(list(squares), facecolors=shades, edgecolors="white", linewidths=wide))
    ticks = range(0, len(names), max(1, -(-len(names) // 8)))
    axes.set_xticks(ticks, [names[tick] for tick in ticks], fontsize=7.5, rotation=90 if len(names) > 12 else 0)
    axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=7.5)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.set_title(wrapped(part["name"].iloc[0], 16))


def _numbers(axes: Axes, part: pd.DataFrame, scale: ScalarMappable) -> None:
    """The bytes of each pair, in its cell."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "linespacing": 0.9}
    for cell in records(part):
        dark = cell.bytes_per_step_and_rank > 0.55 * scale.get_clim()[1] and not cell.refused
        text = human_bytes(cell.bytes_per_step_and_rank).replace(" ", "\n")
        axes.text(cell.receiver, cell.sender, text, color="white" if dark else INK, **look)
