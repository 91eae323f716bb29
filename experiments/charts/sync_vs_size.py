"""The time of synchronisation against the size of the model, and the bandwidth that results."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import pandas as pd

from experiments.charts.data import Absent, ChartData, records
from experiments.charts.export import Sheet
from experiments.charts.layout import name_ends, plain_tick, seconds_tick, slide
from experiments.charts.lines import draw_lines, size_axes, size_tick, thin_out, ticks_in_sight
from experiments.comparison.model import Entry
from experiments.format.units import human_seconds
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

COLUMNS = ("bytes", "seconds", "value", "predicted_seconds", "repeats_seconds")


def size_time(data: ChartData) -> Sheet:
    """Seconds of synchronize in a step, hidden ones included. Absent unless models differ in size."""
    shown, missing = _read(data)
    parts = [f"{size_tick(best.bytes)}: {best.label} in {human_seconds(best.seconds)}" for best in _fastest(shown)]
    title = f"Shortest median with {'; with '.join(parts)}" if parts else "Time of synchronisation, nothing to compare"
    shown = _with_points(shown, lambda nbytes, seconds: seconds)
    return _sheet(data, shown, missing, title, "seconds of synchronize in a step", seconds_tick)


def size_bandwidth(data: ChartData) -> Sheet:
    """Bytes of the parameters by these seconds: what a user gets, whatever was sent."""
    shown, missing = _read(data)
    shown = _with_points(shown, lambda nbytes, seconds: nbytes / seconds / 1e6)
    parts = [f"{size_tick(best.bytes)}: {best.label} with {best.value:.3g} MB/s" for best in _fastest(shown)]
    title = f"Highest at {'; at '.join(parts)}" if parts else "Bandwidth of synchronisation, nothing to compare"
    return _sheet(data, shown, missing, title, "MB of parameters a second", plain_tick)


def _read(data: ChartData) -> tuple[pd.DataFrame, list[str]]:
    rows = data.along("bytes", "model", "data")
    if rows["contest"].nunique() < 2:
        raise Absent("all models have the same size")
    return data.read(rows[~rows["strategy"].isin(["single", "noop"])], _seconds, "how long it synchronised")


def _seconds(entry: Entry) -> list[dict[str, Any]] | None:
    known = [seconds for run in entry.runs if (seconds := _synchronising(run))]
    return [{"seconds": median(known), "repeats_seconds": tuple(known)}] if known else None


def _synchronising(run: Run) -> float | None:
    stages = None if run.within_train else stage_seconds_per_step(run)
    return stages["synchronize"] + hidden_seconds_per_step(run) if stages else None


def _with_points(shown: pd.DataFrame, value: Callable[[int, float], float]) -> pd.DataFrame:
    """The rows with what is drawn: the `value` of a size and seconds, of the median, the repeats and the prediction."""
    nbytes: Any = shown["bytes"].astype(int)
    values = value(nbytes, shown["seconds"])  # type: ignore[arg-type]
    repeats: Any = [
        [value(size, one) for one in each] for size, each in zip(nbytes, shown["repeats_seconds"], strict=True)
    ]
    ahead = value(nbytes, shown["predicted_seconds"])  # type: ignore[arg-type]
    return shown.assign(x=nbytes, value=values, y=values, dots=repeats, predicted=ahead)


def _fastest(shown: pd.DataFrame) -> list[Any]:
    """The fastest contender with the smallest model, and the one with the largest."""
    compared = shown[shown["contends"]].reset_index(drop=True)
    best = compared.loc[compared.groupby("bytes")["seconds"].idxmin()]
    return records(best.iloc[sorted({0, len(best) - 1})]) if len(best) else []


def _sheet(
    data: ChartData,
    shown: pd.DataFrame,
    missing: list[str],
    title: str,
    unit: str,
    tick: Callable[[float, float], str],
) -> Sheet:
    figure, axes = slide()
    ends = draw_lines(axes, shown)
    size_axes(axes, sorted(shown["x"].unique().tolist()), size_tick)
    axes.set_xlabel("bytes of the parameters (float32)")
    axes.set_ylabel(unit)
    ticks_in_sight(axes)
    axes.yaxis.set_major_formatter(tick)
    name_ends(axes, ends)
    repeats = shown["repeats_seconds"].map(len).max()
    notes = [f"Median of {repeats} repeats, each a dot."] if repeats > 1 else []
    notes += ["Dashed: predicted."] if shown["predicted"].notna().any() else []
    sheet = data.sheet(figure, title, shown, COLUMNS, missing=missing, notes=notes)
    thin_out(axes)
    return sheet
