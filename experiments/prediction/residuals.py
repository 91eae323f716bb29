"""Predictions beside what was measured: benchmarks, and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common.errors import ConfigError
from common.runtime.job import DEDICATED
from experiments.config.strategies import parse_call
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import (
    LOCKSTEP,
    figures_for,
    in_lockstep,
    predicted_exchange_seconds,
    predicted_step_exchange,
    simulation_cost,
)
from experiments.runs.run import Run, find_runs
from experiments.schema.files import read_json

if TYPE_CHECKING:
    from experiments.comparison import Entry

NOTHING = "1 worker without a server exchanges nothing: there is nothing to predict"
UPDATED = "bench --with-update times more than an exchange: what is no server is left out"
BENCH_KEYS = ("strategy", "transport", "workers", "servers", "bytes", "seconds_median")


@dataclass(frozen=True, slots=True)
class Beside:
    """One exchange as it was predicted and as it was measured, seconds. None: not known."""

    strategy: str
    transport: str
    workers: int
    servers: int
    nbytes: int
    formula: float | None
    virtual: float | None
    measured: float
    source: str  # what was measured: an exchange, or what it adds to a step

    @property
    def residual(self) -> float | None:
        """Predicted by formula over measured, less 1: above 0 the prediction is too long."""
        return None if self.formula is None or self.measured <= 0 else self.formula / self.measured - 1

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "strategy": self.strategy,
            "transport": self.transport,
            "workers": self.workers,
            "servers": self.servers,
            "bytes": self.nbytes,
            "formula_seconds": self.formula,
            "virtual_seconds": self.virtual,
            "measured_seconds": self.measured,
            "residual": self.residual,
            "measured": self.source,
        }


def median_error(rows: Iterable[Beside]) -> float | None:
    """The median of the residuals' sizes; None where nothing is predicted."""
    sizes = [abs(row.residual) for row in rows if row.residual is not None]
    return median(sizes) if sizes else None


def beside(paths: Sequence[str | Path], calibration: Calibration, budget: float) -> tuple[list[Beside], list[str]]:
    """A row for each measurement in these results: bench.json or its folder, a run, a folder of runs; and notes.

    Simulations get about `budget` seconds in all. Raises ConfigError for what is none, and where a transport was not
    calibrated.
    """
    rows: list[Beside] = []
    notes: list[str] = []
    for path in map(Path, paths):
        if (document := _bench(path)) is not None:
            found, said, budget = _of_bench(document, calibration, budget)
        else:
            found, said = _of_runs(find_runs([path]), calibration)
        rows += found
        notes += said
    if not rows:
        why = "".join(f" ({note})" for note in dict.fromkeys(notes))
        raise ConfigError(f"nothing to hold predictions against in {', '.join(map(str, paths))}{why}")
    return rows, list(dict.fromkeys(notes))


def _bench(path: Path) -> dict[str, Any] | None:
    """The benchmark at `path`; None if something else is there."""
    file = path / "bench.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        return None
    try:
        document = read_json(file)
    except OSError as error:
        raise ConfigError(f"no results at {file}: {(error.strerror or str(error)).lower()}") from None
    rows = document.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(BENCH_KEYS) <= row.keys() for row in rows):
        raise ConfigError(f"{file} is no benchmark: bench.json, or what bench --json prints, is one")
    return document


def _of_bench(
    document: Mapping[str, Any], calibration: Calibration, budget: float
) -> tuple[list[Beside], list[str], float]:
    """Its rows, the fastest to simulate first served; what there is to note; the budget that is left."""
    rows, notes = [], []
    for row in sorted(document["rows"], key=lambda row: (row["bytes"], row["workers"])):
        who: tuple[str, dict[str, Any], int, int, int]
        who = *parse_call(row["strategy"]), row["workers"], row["servers"], row["bytes"]
        placement = row.get("placement") or DEDICATED
        if row.get("wire_bytes", 0) is None:  # an engine that sends past our transports
            continue
        if row.get("update") and not row["servers"]:
            notes.append(UPDATED)
            continue
        figures, word = calibration.nearest(row["transport"], row["workers"])
        notes += [word] if word else []
        takes = simulation_cost(*who, placement)
        mine = budget if takes <= budget else 0.0
        budget -= takes if mine else 0.0
        found = predicted_exchange_seconds(*who, figures, placement=placement, budget=mine)
        if found.formula == 0:
            notes.append(NOTHING)
            continue
        rows.append(
            Beside(
                row["strategy"],
                row["transport"],
                row["workers"],
                row["servers"],
                row["bytes"],
                found.formula,
                found.virtual,
                row["seconds_median"],
                "exchange",
            )
        )
    return rows, notes, budget


def _of_runs(runs: Sequence[Run], calibration: Calibration) -> tuple[list[Beside], list[str]]:
    """A row for each entry of the contests among these runs but for yardsticks and ceilings; and notes."""
    from experiments.comparison import compare_runs  # late: it judges, with scipy

    rows, notes = [], []
    for contest in compare_runs(runs).contests:
        for entry in contest.entries:
            if entry.contends and entry.rates:
                row = _of_entry(entry, contest.strategy("noop"), calibration)
                if row.formula == 0:
                    notes.append(NOTHING)
                    continue
                notes += _why_not(entry.run.summary, calibration)
                rows.append(row)
    return rows, notes


def _why_not(summary: Mapping[str, Any], calibration: Calibration) -> list[str]:
    """Why there is no prediction of a run, where that needs to be said."""
    if not in_lockstep(summary.get("consistency")):
        return [f"no prediction of {summary['strategy']}: {LOCKSTEP}"]
    if figures_for(summary, calibration) is None:
        transport, workers = summary.get("transport"), summary.get("workers")
        return [f"no figures for {transport} with {workers} workers: no prediction of {summary['strategy']}"]
    return []


def _of_entry(entry: Entry, ceiling: Entry | None, calibration: Calibration) -> Beside:
    summary = entry.run.summary
    measured, source = _step(entry), "a whole step: there is no noop to subtract"
    if ceiling is not None and ceiling.rates and entry.refused is None:
        measured, source = measured - _step(ceiling), "a step, less that of noop"
    return Beside(
        entry.strategy,
        str(summary.get("transport")),
        int(summary.get("workers") or 0),
        int(summary.get("servers") or 0),
        4 * int(summary.get("parameters") or 0),
        predicted_step_exchange(summary, calibration),
        None,
        measured,
        source,
    )


def _step(entry: Entry) -> float:
    """Seconds of a step of the whole job, by the median of the repeats."""
    return float(entry.run.summary["batch"]) / entry.rate.middle
