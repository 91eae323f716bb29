"""The charts of a comparison: each as PNG, as SVG and with the numbers behind it as CSV.

matplotlib is imported by this package only. A chart is a function from what there is (`Material`) to a figure with its
title, a sentence about these very numbers; it raises `Absent` where the runs have nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from experiments.charts.export import Picture, Sheet, image, write
from experiments.charts.loss import loss_vs_samples, loss_vs_seconds
from experiments.charts.material import UNKNOWN, Absent, Material, Predictions
from experiments.charts.predicted import predictions
from experiments.charts.scaling import efficiency, scaling
from experiments.charts.servers import servers
from experiments.charts.stages import stages
from experiments.charts.staleness import staleness
from experiments.charts.step_times import step_times
from experiments.charts.straggler import stragglers
from experiments.charts.style import RC
from experiments.charts.sync_vs_size import size_bandwidth, size_time
from experiments.charts.throughput import throughput
from experiments.charts.time_to_loss import time_to_loss
from experiments.charts.traffic import traffic
from experiments.charts.traffic_matrix import traffic_between
from experiments.comparison import Comparison

CHARTS: Mapping[str, Callable[[Material], Sheet]] = {
    chart.__name__: chart
    for chart in (
        throughput,
        scaling,
        efficiency,
        stages,
        loss_vs_samples,
        loss_vs_seconds,
        time_to_loss,
        size_time,
        size_bandwidth,
        servers,
        stragglers,
        staleness,
        step_times,
        traffic,
        traffic_between,
    )
}


@dataclass(frozen=True)
class Plotted:
    """The charts that were drawn, and by name why each other one was not."""

    pictures: list[Picture]
    absent: Mapping[str, str]


def plot_comparison(
    comparison: Comparison,
    out: Path,
    note: str = "",
    predictions: Predictions = UNKNOWN,
    loss: float | None = None,
) -> list[Picture]:
    """Write every chart that `comparison` has data for into `out`, and return them; see `plot_all`."""
    return plot_all(comparison, out, note, predictions, loss).pictures


def plot_all(
    comparison: Comparison,
    out: Path,
    note: str = "",
    predictions: Predictions = UNKNOWN,
    loss: float | None = None,
) -> Plotted:
    """Write every chart that `comparison` has data for into `out`, which is made if need be.

    `note` is a line at the foot of each, for example what limits these runs; `predictions` are drawn dashed; `loss` is
    the one that time is measured to (by default one that most contenders reached). OSError if a file can't be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []
    absent: dict[str, str] = {}
    for name, sheet in draw_all(Material(comparison, note, predictions, loss)):
        if isinstance(sheet, Absent):
            absent[name] = str(sheet)
        else:
            pictures.append(write(name, sheet, out))
    return Plotted(pictures, absent)


def draw_all(material: Material) -> Iterator[tuple[str, Sheet | Absent]]:
    """Yield the name of every chart and the chart, not written yet, or why there is nothing for it."""
    for name in CHARTS:
        try:
            yield name, draw(name, material)
        except Absent as why:
            yield name, why


def draw(name: str, material: Material) -> Sheet:
    """One chart, not written yet. Absent, with the reason, if there is nothing for it."""
    with mpl.rc_context(RC):
        return CHARTS[name](material)


__all__ = [
    "CHARTS",
    "Absent",
    "Material",
    "Picture",
    "Plotted",
    "Predictions",
    "Sheet",
    "draw",
    "draw_all",
    "image",
    "plot_all",
    "plot_comparison",
    "predictions",
]
