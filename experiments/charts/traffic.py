"""Bytes that each process sends and receives: a hub stands out."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.charts.data import ChartData, by_label, records
from experiments.charts.export import Sheet
from experiments.charts.layout import bands, slide
from experiments.charts.style import ALARM, INK, look
from experiments.charts.titles import hub, hubs
from experiments.comparison.model import Entry
from experiments.runs.frames import RunFrames

MANY = 10  # bars of one role in a band; of more ranks three are shown
SERVER: dict[str, Any] = {"edgecolor": INK, "hatch": "//////", "linewidth": 0.6}
SENT, RECEIVED = "sent_bytes_per_step", "received_bytes_per_step"


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
