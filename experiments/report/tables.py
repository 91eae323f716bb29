"""The tables of a report as plain text in cells: what every strategy did, absolute figures beside ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from experiments.comparison.predictions import residual, unpredicted
from experiments.comparison.wording import setting_words
from experiments.format.table import DASH
from experiments.format.units import human_bytes, human_count, human_deviation, human_ms

if TYPE_CHECKING:
    from experiments.comparison import Comparison, Contest, Entry, Interval
    from experiments.comparison.equivalence import ParameterCheck
    from experiments.report.bottlenecks import Share


@dataclass(frozen=True)
class Row:
    """`cells` beside its heading `name`; `kind` is what it is to its table, for its looks; `remark` goes below it."""

    name: str
    cells: tuple[str, ...]
    kind: str = ""  # baseline, ceiling, yardstick, refused or nothing
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """`heads` is one longer than the cells of a row, whose name comes first; `notes` are sentences for below."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def contest_tables(comparison: Comparison, predicted: Mapping[tuple[int, str], float]) -> list[Table]:
    """A table a contest, each with what sets it apart from the others in its caption.

    `predicted` are samples/s, by the contest's place and the entry's label.
    """
    return [
        _contest_table(
            contest,
            setting_words(contest, comparison.axes),
            {label: rate for (place, label), rate in predicted.items() if place == index},
        )
        for index, contest in enumerate(comparison.contests)
    ]


def _contest_table(contest: Contest, caption: str, predicted: Mapping[str, float]) -> Table:
    reference = next((entry.strategy for entry in contest.entries if entry.check.kind == "reference"), "single")
    heads = (
        "strategy",
        "samples/s",
        "95 % interval",
        f"against {contest.baseline}",
        "verdict",
        "of the ceiling",
        "predicted",
        "ms a step",
        "per worker",
        "per process",
        "runs",
        f"differs from {reference.rpartition(':')[2]}",
    )
    rows = tuple(
        Row(entry.label, _cells(entry, contest, predicted.get(entry.label)), _kind(entry, contest), _remark(entry))
        for entry in contest.ranked
    )
    notes = [f"{entry.label} {note}." for entry in contest.entries for note in entry.notes]
    if without := unpredicted(contest, predicted):
        notes.append(f"{without[0].upper()}{without[1:]}.")
    return _without_empty_columns(Table(caption, heads, rows, tuple(notes)))


def _without_empty_columns(table: Table) -> Table:
    kept = [index for index in range(len(table.heads) - 1) if any(row.cells[index] != DASH for row in table.rows)]
    rows = tuple(replace(row, cells=tuple(row.cells[index] for index in kept)) for row in table.rows)
    return replace(table, heads=(table.heads[0], *(table.heads[index + 1] for index in kept)), rows=rows)


def _kind(entry: Entry, contest: Contest) -> str:
    if entry.refused is not None:
        return "refused"
    if entry.label == contest.baseline:
        return "baseline"
    return {"noop": "ceiling", "single": "yardstick"}.get(entry.strategy, "")


def _remark(entry: Entry) -> str:
    return "" if entry.refused is None else f"Not comparable: {entry.label} {entry.refused}."


def _cells(entry: Entry, contest: Contest, predicted: float | None) -> tuple[str, ...]:
    rate, batch = entry.rate.middle, entry.run.summary.batch
    return (
        _known(rate or None, human_count),
        _interval(entry.rate) if len(entry.rates) > 1 else DASH,
        _ratio(entry.ratio),
        _verdict(entry, contest),
        _known(entry.share, lambda share: f"{share:.0%}"),
        _predicted(entry, predicted),
        human_ms(batch / rate) if batch and rate else DASH,
        _known(entry.per_worker if rate else None, human_count),
        _known(entry.per_process if rate else None, human_count),
        str(len(entry.runs)),
        _deviation(entry.check) if len(contest.entries) > 1 or not entry.check.needs_others else DASH,
    )


def _predicted(entry: Entry, predicted: float | None) -> str:
    """With how far what was measured is above it, or below: `9.1k (+7%)`."""
    if predicted is None or (apart := residual(entry, predicted)) is None:
        return DASH
    return f"{human_count(predicted)} ({apart:+.0%})".replace("-", "\N{MINUS SIGN}")


def _known(value: float | None, show: Callable[[float], str]) -> str:
    return DASH if value is None else show(value)


def _interval(interval: Interval) -> str:
    return f"{human_count(interval.low)} – {human_count(interval.high)}"


def _ratio(ratio: Interval | None) -> str:
    if ratio is None:
        return DASH
    times = f"{ratio.middle:.2f}×"
    return times if ratio.low == ratio.high else f"{times} ({ratio.low:.2f} – {ratio.high:.2f})"


def _verdict(entry: Entry, contest: Contest) -> str:
    """Against the baseline. The ceiling is no contestant; what it is stands beside its name."""
    if entry.refused is not None:
        return "not comparable"
    return DASH if _kind(entry, contest) in ("baseline", "ceiling") else entry.finding or DASH


def _deviation(check: ParameterCheck) -> str:
    if check.kind not in ("same", "differs"):
        return check.kind
    mark = "✓" if check.kind == "same" else "✗"
    return mark if check.deviation is None else f"{mark} {human_deviation(check.deviation)}"


def share_table(rows: Sequence[Share]) -> Table:
    """Where a step goes, by strategy."""
    heads = (
        "strategy",
        "train",
        "synchronise, exposed",
        "beside train",
        "busiest rank",
        "moves a step",
        "on 1 Gbit/s",
    )
    return _without_empty_columns(Table("", heads, tuple(Row(row.label, _share_cells(row)) for row in rows)))


def _share_cells(row: Share) -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return _known(value, lambda share: f"{share:.0%}")

    return (
        percent(row.train),
        percent(row.exposed),
        percent(row.hidden or None),
        row.busiest + (f", {row.times:.1f}× the others" if 1.0 < row.times < 1e6 else ""),
        human_bytes(row.sent) if row.sent else DASH,
        f"{human_ms(row.link_seconds)} ms" if row.link_seconds else DASH,
    )
