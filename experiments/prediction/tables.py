"""Calibrations and predictions as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.format.table import DASH
from experiments.format.units import human_seconds, size_name
from experiments.format.words import plural
from experiments.prediction.batch import PredictedExchange
from experiments.prediction.cost_model import Calibration, Curve
from experiments.prediction.residuals import Residual, median_error


def _table(title: str, left: int, headers: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left", min_width=60)
    table.title = Text(title, style="bold")
    for index, header in enumerate(headers):
        table.add_column(Text(header), justify="left" if index < left else "right", no_wrap=True)
    return table


def _seconds(value: float | None) -> str:
    return DASH if value is None else human_seconds(value)


def calibration_table(calibration: Calibration) -> Table:
    """A row for each pattern at each size."""
    headers = ("transport", "workers", "pattern", "vector", "α", "β, ns/byte", "GB/s", "γ, ns/byte")
    table = _table("What a message and a byte cost", 3, headers)
    for each in calibration.figures:
        patterns: list[tuple[str, Curve]] = [("neighbours", each.exchange)] if each.workers != 1 else []
        for name, curve in [*patterns, ("a server", each.hub)]:
            for index, nbytes in enumerate(curve.sizes):
                beta, gamma = curve.beta[index], curve.gamma[index]
                first = (each.transport, str(each.workers), name) if not index else ("", "", "")
                table.add_row(
                    *first,
                    size_name(nbytes),
                    _seconds(curve.alpha) if not index else "",
                    f"{1e9 * beta:.3f}",
                    f"{1e-9 / beta:.1f}" if beta else DASH,
                    f"{1e9 * gamma:.3f}",
                )
    return table


def grid_tables(cells: Sequence[PredictedExchange]) -> list[Table]:
    """For each number of workers: sizes down, strategies across; formula, and after a slash virtual time."""
    tables = []
    for workers in dict.fromkeys(cell.workers for cell in cells):
        mine = [cell for cell in cells if cell.workers == workers]
        names = list(dict.fromkeys(cell.strategy for cell in mine))
        table = _table(f"{plural(workers, 'worker')}: by formula / in virtual time", 0, ("vector", *names))
        for nbytes in dict.fromkeys(cell.nbytes for cell in mine):
            row = [cell for cell in mine if cell.nbytes == nbytes]
            best = min((cell.formula for cell in row if cell.formula is not None), default=None)
            texts = [
                Text(
                    f"{_seconds(cell.formula)} / {_seconds(cell.virtual)}",
                    style="bold" if best is not None and cell.formula == best else "",
                )
                for cell in row
            ]
            table.add_row(Text(size_name(nbytes)), *texts)
        tables.append(table)
    return tables


def residual_table(rows: Sequence[Residual]) -> Table:
    """Predicted beside measured, by strategy, transport and workers."""
    headers = ("strategy", "transport", "workers", "vector", "formula", "virtual", "measured", "residual")
    table = _table("Predicted and measured", 2, headers)
    for row in sorted(rows, key=lambda row: (row.transport, row.workers, row.strategy, row.nbytes)):
        table.add_row(
            row.strategy.rpartition(":")[2],
            row.transport,
            str(row.workers),
            size_name(row.nbytes),
            _seconds(row.formula),
            _seconds(row.virtual),
            _seconds(row.measured),
            DASH if row.residual is None else f"{row.residual:+.0%}",
        )
    return table


def error_line(rows: Sequence[Residual]) -> str:
    """`median error 21 % (largest 42 %: ring, 2 workers, 4 MiB), of 20 predictions by formula`."""
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
