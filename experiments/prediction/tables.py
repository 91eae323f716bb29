"""Calibrations and predictions as tables for terminals."""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_seconds, size_name
from experiments.format.words import plural
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import PredictedExchange
from experiments.prediction.residuals import Residual, median_error


def calibration_table(calibration: Calibration) -> Table[Any]:
    """Return a row for each pattern at each size. A cell of the first columns is empty if it repeats the one above."""
    headers = ("transport", "workers", "pattern", "vector", "α", "β, ns/byte", "GB/s", "γ, ns/byte")
    columns = [Column(name, itemgetter(place), words=place < 3) for place, name in enumerate(headers)]
    rows = []
    for figures in calibration.figures:
        for name, curve in (("neighbours", figures.exchange), ("a server", figures.hub)):
            if figures.workers == 1 and curve is figures.exchange:
                continue
            head = (figures.transport, str(figures.workers), name)
            alpha = human_seconds(curve.alpha)
            for nbytes, beta, gamma in zip(curve.sizes, curve.beta, curve.gamma, strict=True):
                speed = f"{1e-9 / beta:.1f}" if beta else DASH
                rows.append((*head, size_name(nbytes), alpha, f"{1e9 * beta:.3f}", speed, f"{1e9 * gamma:.3f}"))
                head, alpha = ("", "", ""), ""
    return Table(columns, rows, "What a message and a byte cost")


def grid_tables(cells: Sequence[PredictedExchange]) -> list[Table[Any]]:
    """Return, by number of workers: sizes down, strategies across, seconds by formula / simulated, ✓ the best."""
    tables = []
    for workers in dict.fromkeys(cell.workers for cell in cells):
        rows: dict[int, dict[str, PredictedExchange]] = {}
        for cell in cells:
            if cell.workers == workers:
                rows.setdefault(cell.nbytes, {})[cell.strategy] = cell
        strategies = dict.fromkeys(cell.strategy for cell in cells)
        columns: list[Column[Any]] = [Column("vector", lambda row: next(iter(row.values())).nbytes, size_name)]
        columns += [Column(name, partial(_both, name)) for name in strategies]
        title = f"{plural(workers, 'worker')}: by formula / in virtual time"
        tables.append(Table(columns, list(rows.values()), title))
    return tables


def _both(strategy: str, row: Mapping[str, PredictedExchange]) -> str:
    cell = row[strategy]
    best = min((each.formula for each in row.values() if each.formula is not None), default=None)
    both = (DASH if value is None else human_seconds(value) for value in (cell.formula, cell.virtual))
    return ("✓ " if cell.formula is not None and cell.formula == best else "") + " / ".join(both)


def residual_table(rows: Sequence[Residual]) -> Table[Residual]:
    """Return predicted beside measured seconds, by transport, workers and strategy."""
    columns: list[Column[Residual]] = [
        Column("strategy", lambda row: row.strategy.rpartition(":")[2], words=True),
        Column("transport", attrgetter("transport"), words=True),
        Column("workers", attrgetter("workers")),
        Column("vector", attrgetter("nbytes"), size_name),
        *(Column(name, attrgetter(name), human_seconds) for name in ("formula", "virtual", "measured")),
        Column("residual", attrgetter("residual"), "{:+.0%}".format),
    ]
    rows = sorted(rows, key=lambda row: (row.transport, row.workers, row.strategy, row.nbytes))
    return Table(columns, rows, "Predicted and measured")


def error_line(rows: Sequence[Residual]) -> str:
    """Return `median error 21 % of 20 predictions by formula (largest +42 %: ring, 2 workers, 4 MiB)`."""
    known = [row for row in rows if row.residual is not None]
    error = median_error(known)
    if error is None:
        return "no prediction to hold against what was measured"
    worst = max(known, key=lambda row: abs(row.residual or 0.0))
    which = f"{worst.strategy}, {plural(worst.workers, 'worker')}, {size_name(worst.nbytes)}"
    return (
        f"median error {error:.0%} of {plural(len(known), 'prediction')} by formula "
        f"(largest {worst.residual:+.0%}: {which})"
    )
