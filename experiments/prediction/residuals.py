"""Compare predictions with measured exchanges."""

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct, to_builtins

from common.errors import ConfigError
from common.runtime.job import DEDICATED
from experiments.config.strategies import parse_call
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import formula_seconds, virtual_seconds
from experiments.prediction.simulation import simulation_cost
from experiments.schema.documents import Bench
from experiments.schema.files import read_document

NOTHING = "1 worker without a server exchanges nothing: there is nothing to predict"
UPDATED = "bench --with-update times more than an exchange: what is no server is left out"
_KEYS = {"nbytes": "bytes", "formula": "formula_seconds", "virtual": "virtual_seconds"}


class Residual(Struct, frozen=True, rename=_KEYS | {"measured": "measured_seconds", "source": "measured"}):
    """One exchange as it was predicted and as it was measured, in seconds. None: not known."""

    strategy: str
    transport: str
    workers: int
    servers: int
    nbytes: int
    formula: float | None
    virtual: float | None
    measured: float
    source: str  # what was measured: an exchange, or what exchanges add to a step

    @property
    def residual(self) -> float | None:
        """The formula's seconds over the measured ones, less 1: above 0 the prediction is too long."""
        return None if self.formula is None or self.measured <= 0 else self.formula / self.measured - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        values: dict[str, Any] = to_builtins(self)
        return values | {"residual": self.residual, "measured": values.pop("measured")}


def median_error(rows: Iterable[Residual]) -> float | None:
    """Return the median size of the residuals; None if nothing is predicted."""
    sizes = [abs(row.residual) for row in rows if row.residual is not None]
    return median(sizes) if sizes else None


def read_bench(path: Path) -> Bench | None:
    """Return the benchmark in this file or folder; None for a folder without one. ConfigError."""
    if path.is_dir() and not (path / "bench.json").is_file():
        return None
    file = path / "bench.json" if path.is_dir() else path
    try:
        return read_document(file, Bench)
    except ConfigError as error:
        raise ConfigError(f"{error}; a benchmark is bench.json, or what bench --json prints") from None


def bench_residuals(bench: Bench, calibration: Calibration, budget: float) -> tuple[list[Residual], list[str], float]:
    """Return a row for each result of the benchmark, notes, and the budget of seconds that simulations left over."""
    rows, notes = [], []
    for row in sorted(bench.rows, key=lambda row: (row.bytes, row.workers)):
        who = *parse_call(row.strategy), row.workers, row.servers, row.bytes
        placement = row.placement or DEDICATED
        if row.wire_bytes is None:  # an engine with its own transport
            continue
        if row.update and not row.servers:
            notes.append(UPDATED)
            continue
        figures, note = calibration.nearest(row.transport, row.workers)
        notes += [note] if note else []
        formula, virtual = formula_seconds(*who, figures, placement), None
        if (cost := simulation_cost(*who, placement)) <= budget:
            budget, virtual = budget - cost, virtual_seconds(*who, figures)
        if formula == 0:
            notes.append(NOTHING)
            continue
        setting = row.strategy, row.transport, row.workers, row.servers, row.bytes
        rows.append(Residual(*setting, formula, virtual, row.seconds_median, "exchange"))
    return rows, notes, budget
