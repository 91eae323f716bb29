"""Calibrations and predictions as tables for terminals."""

from collections.abc import Sequence
from operator import attrgetter, itemgetter

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from experiments.format.table import DASH, Column, Table, terminal_table
from experiments.format.units import human_seconds, size_name
from experiments.format.words import plural
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import PredictedExchange
from experiments.prediction.residuals import Residual, median_error


def calibration_table(calibration: Calibration) -> RichTable:
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
    return terminal_table(Table(columns, rows, "What a message and a byte cost"))


def grid_tables(cells: Sequence[PredictedExchange]) -> list[RichTable]:
    """Return a table for each number of workers: sizes down, strategies across. The best formula of a row is bold.

    A cell has the seconds by formula and, after a slash, in virtual time.
    """
    tables = []
    for workers in dict.fromkeys(cell.workers for cell in cells):
        mine = [cell for cell in cells if cell.workers == workers]
        title = Text(f"{plural(workers, 'worker')}: by formula / in virtual time", style="bold")
        table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left")
        for name in ("vector", *dict.fromkeys(cell.strategy for cell in mine)):
            table.add_column(Text(name), justify="right", no_wrap=True)
        for nbytes in dict.fromkeys(cell.nbytes for cell in mine):
            row = [cell for cell in mine if cell.nbytes == nbytes]
            best = min((cell.formula for cell in row if cell.formula is not None), default=None)
            texts = [Text(size_name(nbytes))]
            for cell in row:
                both = (DASH if value is None else human_seconds(value) for value in (cell.formula, cell.virtual))
                is_best = cell.formula is not None and cell.formula == best
                texts.append(Text(" / ".join(both), style="bold" if is_best else ""))
            table.add_row(*texts)
        tables.append(table)
    return tables


def residual_table(rows: Sequence[Residual]) -> RichTable:
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
    return terminal_table(Table(columns, rows, "Predicted and measured"))


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
