"""Bytes that each process sends and receives: a hub, where there is one, is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.charts.export import Sheet
from experiments.charts.layout import bands, blank
from experiments.charts.material import Material, Series
from experiments.charts.style import ALARM, INK
from experiments.charts.titles import hub, hubs
from experiments.comparison import Entry
from experiments.runs.run import Role, Run

MANY = 10  # bars of one role in a band; more are told by three
SERVER: dict[str, Any] = {"edgecolor": INK, "hatch": "//////", "linewidth": 0.6}


@dataclass(frozen=True)
class Bar:
    """Payload bytes in a step of one process, or of what stands for many."""

    role: str
    who: str
    sent: float
    received: float | None


@dataclass(frozen=True)
class _Bytes:
    bars: Sequence[Bar]
    servers: Sequence[float]  # sent by each
    workers: Sequence[float]


def traffic(material: Material) -> Sheet:
    """Received to the left, sent to the right, a bar a process. Absent if no run's bytes are known."""
    contest = material.focus
    shown, missing = material.read(contest.entries, _read, "bytes sent")
    shown.sort(key=lambda s: -max(bar.sent for bar in s.data.bars))
    figure = blank()
    axes = figure.subplots()
    top = max(max(bar.sent, bar.received or 0.0) for s in shown for bar in s.data.bars)
    unit, scale = ("MiB", 2**20) if top >= 2**20 else ("KiB", 2**10)
    ratios: dict[str, float] = {}
    for y, s in enumerate(shown):
        ratio = _band(axes, s, y, scale)
        ratios |= {s.label: ratio} if s.contends else {}
    bands(axes, [s.name for s in shown])
    wide = 1.04 * top / scale or 1.0
    axes.set_xlim(-wide, wide)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10], symmetric=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(f"{unit} of payload in a step:  ← received by each process | sent by each process →")
    if any(s.data.servers for s in shown):
        handles = [Patch(fc="#BBBBBB", label="server", **SERVER), Patch(fc="#BBBBBB", label="worker")]
        axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    notes = [f"Of more than {MANY} workers the busiest, the middle and the least busy."] if _some_told(shown) else []
    return material.sheet(
        figure, hubs(ratios), shown, _rows(shown), missing=missing, notes=[*notes, *material.only(contest)]
    )


def _read(entry: Entry) -> _Bytes | None:
    """Of the repeat in the middle: the bytes of synchronous strategies do not differ between repeats."""
    run = entry.run
    servers, workers = run.sent_per_step("server"), run.sent_per_step("worker")
    if not servers and not workers:
        return None
    bars = [*_few("server", servers, _received(run, "server")), *_few("worker", workers, _received(run, "worker"))]
    return _Bytes(bars, servers, workers)


def _received(run: Run, role: Role) -> list[float | None]:
    known, steps = run.summary.bytes_received, run.summary.steps_done
    if known is None:
        return []
    counts = known.per_worker if role == "worker" else known.per_server
    return [None if count is None or not steps else count / steps for count in counts]


def _few(role: str, sent: Sequence[float], received: Sequence[float | None]) -> list[Bar]:
    """A bar each; of many the busiest, the middle and the least busy."""
    padded = [*received, *[None] * (len(sent) - len(received))]
    bars = [Bar(role, str(number), *pair) for number, pair in enumerate(zip(sent, padded, strict=False))]
    if len(bars) <= MANY:
        return bars
    order = sorted(bars, key=lambda bar: -bar.sent - (bar.received or 0.0))
    names = {0: "busiest", len(order) // 2: "median", len(order) - 1: "least busy"}
    return [Bar(role, f"{name} of {len(order)}", order[at].sent, order[at].received) for at, name in names.items()]


def _some_told(shown: Sequence[Series]) -> bool:
    return any(" of " in bar.who for s in shown for bar in s.data.bars)


def _band(axes: Axes, s: Series, y: int, scale: float) -> float:
    """Draw the bars of one entry; returns how many times the median of the others its busiest process sends."""
    bars: Sequence[Bar] = s.data.bars
    height = 0.8 / len(bars)
    for index, bar in enumerate(bars):
        look = {"facecolor": s.colour, **(SERVER if bar.role == "server" else {})}
        at = y - 0.4 + (index + 0.5) * height
        axes.barh(at, bar.sent / scale, 0.84 * height, **look)
        axes.barh(at, -(bar.received or 0.0) / scale, 0.84 * height, alpha=0.6, **look)
    ratio, text = hub(s.data.servers, s.data.workers)
    column: dict[str, Any] = {"va": "center", "fontsize": 9.5, "color": ALARM if s.refused else INK}
    text = "not comparable" if s.refused else text.replace(", ", ",\n")
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), **column)  # aligned: bars may be as long as the axes
    return ratio if math.isfinite(ratio) else math.inf


def _rows(shown: Sequence[Series]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "role": bar.role,
            "process": bar.who,
            "sent_bytes_per_step": bar.sent,
            "received_bytes_per_step": bar.received,
            "not_comparable": s.entry.refused,
        }
        for s in shown
        for bar in s.data.bars
    ]
