"""The time of synchronisation against the size of the model, and the bandwidth that comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from experiments.charts.export import Sheet
from experiments.charts.layout import blank
from experiments.charts.loglog import Curve, Point, draw_curves, name_curves, size_tick, thin_out, ticks_in_sight
from experiments.charts.material import Absent, Material, Series
from experiments.comparison import Contest, Entry
from experiments.format.units import human_seconds
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

FLOAT = 4  # bytes of a parameter
Line = list[tuple[int, Series]]  # of one label: (bytes of the parameters, the entry there), smallest first


@dataclass(frozen=True)
class _Sizes:
    lines: Mapping[str, Line]
    missing: Sequence[str]

    @property
    def shown(self) -> list[Series]:
        return [s for line in self.lines.values() for _, s in line]


def size_time(material: Material) -> Sheet:
    """Seconds of synchronize in a step, hidden ones included. Absent unless models differ in size."""
    its = _read(material)
    return _sheet(
        material, its, "seconds of synchronize in a step", lambda size, seconds: seconds, _plain, _time_title(its)
    )


def size_bandwidth(material: Material) -> Sheet:
    """Bytes of the parameters by those seconds: what a user gets, whatever was sent."""
    its = _read(material)
    unit = "MB/s: bytes of the parameters by that time"
    return _sheet(
        material,
        its,
        unit,
        lambda size, seconds: size / seconds / 1e6,
        lambda value: f"{value:g}",
        _bandwidth_title(its),
    )


def _read(material: Material) -> _Sizes:
    contests = material.along(parameter_bytes, "model", "data")
    if len(contests) < 2:
        raise Absent("all models have the same size")
    lines: dict[str, Line] = {}
    missing: list[str] = []
    for contest in contests:
        talking = [entry for entry in contest.entries if entry.strategy not in ("single", "noop")]
        for s in (Series(entry, _seconds(entry)) for entry in talking):
            if s.data:
                lines.setdefault(s.label, []).append((parameter_bytes(contest) or 0, s))
            else:
                missing.append(s.label)
    if not lines:
        raise Absent("no run recorded how long it synchronised")
    return _Sizes(lines, missing)


def parameter_bytes(contest: Contest) -> int | None:
    """Bytes of the parameters of its model; None where no run came so far."""
    parameters = next((its for entry in contest.entries if (its := entry.run.summary.parameters)), None)
    return None if parameters is None else FLOAT * int(parameters)


def _seconds(entry: Entry) -> list[float]:
    """Of each repeat."""
    return [seconds for run in entry.runs if (seconds := _synchronising(run)) is not None]


def _synchronising(run: Run) -> float | None:
    stages = None if run.within_train else stage_seconds_per_step(run)
    return (stages["synchronize"] + hidden_seconds_per_step(run) or None) if stages else None


def _sheet(
    material: Material,
    its: _Sizes,
    unit: str,
    value: Callable[[int, float], float],
    tick: Callable[[float], str],
    title: str,
) -> Sheet:
    figure = blank()
    axes = figure.subplots()
    curves = [_curve(material, line, value) for line in its.lines.values()]
    sizes = sorted({size for line in its.lines.values() for size, _ in line})
    draw_curves(axes, curves, sizes, size_tick)
    axes.set_xlabel("bytes of the parameters (float32)")
    axes.set_ylabel(unit)
    ticks_in_sight(axes)
    axes.yaxis.set_major_formatter(lambda at, _: tick(at))
    name_curves(axes, curves)
    repeats = max(len(s.data) for s in its.shown)
    notes = [f"Median of {repeats} repeats, each a dot."] if repeats > 1 else []
    notes += ["Dashed: predicted."] if material.predictions.seconds else []
    sheet = material.sheet(figure, title, its.shown, _rows(material, its, value), missing=its.missing, notes=notes)
    thin_out(axes)
    return sheet


def _curve(material: Material, line: Line, value: Callable[[int, float], float]) -> Curve:
    points = []
    for size, s in line:
        seconds = _predicted(material, s, size)
        predicted = None if seconds is None else value(size, seconds)
        points.append(Point(size, [value(size, each) for each in s.data], value(size, median(s.data)), predicted))
    last = line[-1][1]
    return Curve(last.name, last.colour, last.marker, points, last.dashes, last.ink)


def _predicted(material: Material, s: Series, size: int) -> float | None:
    return material.predictions.seconds.get((s.label, size))


def _plain(seconds: float) -> str:
    """A tick: `10 ms`."""
    return human_seconds(seconds).replace(".00 ", " ").replace(".0 ", " ")


def _ends(its: _Sizes) -> list[tuple[int, str, float]]:
    """(bytes, label, seconds) of the fastest with the smallest and with the largest model."""
    points = [(size, s.label, median(s.data)) for line in its.lines.values() for size, s in line if s.contends]
    sizes = sorted({size for size, _, _ in points})
    return [
        min((point for point in points if point[0] == size), key=lambda point: point[2])
        for size in dict.fromkeys([*sizes[:1], *sizes[-1:]])
    ]


def _time_title(its: _Sizes) -> str:
    parts = [f"{size_tick(size)}: {label} in {human_seconds(seconds)}" for size, label, seconds in _ends(its)]
    return f"Shortest median with {'; with '.join(parts)}" if parts else "Time of synchronisation, nothing to compare"


def _bandwidth_title(its: _Sizes) -> str:
    parts = [f"{size_tick(size)}: {label} with {size / seconds / 1e6:.3g} MB/s" for size, label, seconds in _ends(its)]
    return f"Highest at {'; at '.join(parts)}" if parts else "Bandwidth of synchronisation, nothing to compare"


def _rows(material: Material, its: _Sizes, value: Callable[[int, float], float]) -> list[dict[str, Any]]:
    return [
        {
            "label": s.label,
            "strategy": s.entry.strategy,
            "bytes": size,
            "seconds": median(s.data),
            "value": value(size, median(s.data)),
            "predicted_seconds": _predicted(material, s, size),
            "repeats_seconds": s.data,
            "not_comparable": s.entry.refused,
        }
        for line in its.lines.values()
        for size, s in line
    ]
