"""The charts of a comparison, each as PNG, SVG and CSV. Only this package imports matplotlib.

A chart is a function from `ChartData` to a `Sheet`. It raises `Absent` if the runs have no data for it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from experiments.charts.data import Absent, ChartData
from experiments.charts.export import Picture, Sheet, image, write
from experiments.charts.loss import loss_vs_samples, loss_vs_seconds, time_to_loss
from experiments.charts.scaling import efficiency, scaling, servers, size_bandwidth, size_time
from experiments.charts.stages import stages, step_times
from experiments.charts.staleness import staleness
from experiments.charts.style import RC
from experiments.charts.throughput import stragglers, throughput
from experiments.charts.traffic import traffic, traffic_between

_SPEED = (throughput, scaling, efficiency, stages)
_LOSS = (loss_vs_samples, loss_vs_seconds, time_to_loss)
_SIZES = (size_time, size_bandwidth, servers)
_RANKS = (stragglers, staleness, step_times, traffic, traffic_between)
CHARTS: Mapping[str, Callable[[ChartData], Sheet]] = {
    chart.__name__: chart for chart in (*_SPEED, *_LOSS, *_SIZES, *_RANKS)
}


@dataclass(frozen=True)
class Plotted:
    """The charts that were drawn, and by name why each other one was not."""

    pictures: list[Picture]
    absent: Mapping[str, str]


def plot_all(data: ChartData, out: Path) -> Plotted:
    """Write every chart that the runs have data for into `out`, which is made if need be. OSError."""
    out.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []
    absent: dict[str, str] = {}
    for name, sheet in draw_all(data):
        if isinstance(sheet, Absent):
            absent[name] = str(sheet)
        else:
            pictures.append(write(name, sheet, out))
    return Plotted(pictures, absent)


def draw_all(data: ChartData) -> Iterator[tuple[str, Sheet | Absent]]:
    """Yield the name of every chart and the chart, not written yet, or why the runs have no data for it."""
    for name in CHARTS:
        try:
            yield name, draw(name, data)
        except Absent as why:
            yield name, why


def draw(name: str, data: ChartData) -> Sheet:
    """Return one chart, not written yet. Absent, with the reason, if the runs have no data for it."""
    with mpl.rc_context(RC):
        return CHARTS[name](data)


__all__ = ["CHARTS", "Absent", "ChartData", "Picture", "Plotted", "Sheet", "draw", "draw_all", "image", "plot_all"]
