"""Predictions beside what was measured: benchmarks, and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common.errors import ConfigError
from common.runtime.job import DEDICATED
from experiments.config.strategies import parse_call
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import (
    predicted_exchange_seconds,
    simulation_cost,
)
from experiments.schema.files import read_json

NOTHING = "1 worker without a server exchanges nothing: there is nothing to predict"
UPDATED = "bench --with-update times more than an exchange: what is no server is left out"
BENCH_KEYS = ("strategy", "transport", "workers", "servers", "bytes", "seconds_median")


@dataclass(frozen=True, slots=True)
class Residual:
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


def median_error(rows: Iterable[Residual]) -> float | None:
    """The median of the residuals' sizes; None where nothing is predicted."""
    sizes = [abs(row.residual) for row in rows if row.residual is not None]
    return median(sizes) if sizes else None


def read_bench(path: Path) -> dict[str, Any] | None:
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


def bench_residuals(
    document: Mapping[str, Any], calibration: Calibration, budget: float
) -> tuple[list[Residual], list[str], float]:
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
            Residual(
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
