"""A contest as a table, for terminals and as markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from experiments.comparison.model import Contest, Entry
from experiments.comparison.predictions import residual
from experiments.comparison.run_table import check_cell
from experiments.format.table import DASH, Column, markdown_table, terminal_table
from experiments.format.units import human_count
from experiments.format.words import plural
from experiments.metrics.intervals import Interval
from experiments.runs.describe import conditions

_SPARE = ("/ single", "n", "check", "/s per worker", "95 % interval", "of ceiling")  # first to go


@dataclass(frozen=True)
class _Row:
    """An entry, and what of its contest it is seen beside."""

    entry: Entry
    contest: Contest
    predicted: float | None


def contest_table(contest: Contest, predicted: Mapping[str, float], *, width: int = 120) -> Table:
    """One row an entry; `predicted` is in samples/s, by label."""
    columns = _columns(contest, predicted)
    check = columns[-1].name if columns[-1].words else ""
    return terminal_table(
        columns,
        _rows(contest, predicted),
        width=width,
        spare=[check if name == "check" else name for name in _SPARE],
        dim=lambda row: row.entry.refused is not None,
    )


def contest_markdown(contest: Contest, predicted: Mapping[str, float]) -> str:
    """The same table as GitHub markdown, with every column; ends with a newline."""
    return markdown_table(_columns(contest, predicted), _rows(contest, predicted))


def title(contest: Contest) -> str:
    """What was run in this contest, and how often."""
    counts = sorted({len(entry.runs) for entry in contest.entries})
    often = plural(counts[0], "repeat") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} repeats"
    return (
        f"{conditions([run for entry in contest.entries if not entry.refused for run in entry.runs])}; {often} of each"
    )


def legend(contests: Sequence[Contest]) -> str:
    """How to read the columns."""
    words = ["samples/s: median of the repeats, without warm-up"]
    if any(_repeated(contest) for contest in contests):
        words.append("intervals: 95 %, of the bootstrap and widened for few repeats (docs/comparison.md)")
        words.append("no difference: the interval of the ratio spans 1")
    if any(entry.exact for contest in contests for entry in contest.entries):
        words.append("virtual time, training of a given length: the same each time, so one run is enough for a verdict")
    if any(contest.strategy("noop") for contest in contests):
        words.append("ceiling: noop, which does not synchronise")
    return "; ".join(words)


def _rows(contest: Contest, predicted: Mapping[str, float]) -> list[_Row]:
    return [_Row(entry, contest, predicted.get(entry.label)) for entry in contest.ranked]


def _repeated(contest: Contest) -> bool:
    return any(len(entry.rates) > 1 for entry in contest.entries)


def _columns(contest: Contest, predicted: Mapping[str, float]) -> list[Column[_Row]]:
    base, single = contest.reference, contest.strategy("single")
    found = [
        Column[_Row]("strategy", lambda row: row.entry.label, words=True),
        Column[_Row]("n", lambda row: str(len(row.entry.rates))),
        Column[_Row]("samples\n/s", lambda row: _count(row.entry.rate.middle)),
    ]
    if _repeated(contest):
        found.append(Column("95 %\ninterval", lambda row: _span(row.entry.rate, _count)))
    if base is not None and len(contest.entries) > 1:
        found.append(Column(f"/ {base.label}"[:14], _ratio))
        if _repeated(contest):
            found.append(Column("interval\nof ratio", _ratio_interval))
    if _repeated(contest) or any(entry.refused or entry.exact for entry in contest.entries):
        found.append(Column("verdict", _verdict))
    if contest.strategy("noop"):
        found.append(Column("of\nceiling", lambda row: _maybe(row.entry.share, lambda share: f"{share:.0%}")))
    if single and single.rates and base is not single:
        found.append(Column("/\nsingle", _over_single))
    found += [
        Column("/s per\nworker", lambda row: _maybe(row.entry.per_worker, _count)),
        Column("/s per\nprocess", lambda row: _maybe(row.entry.per_process, _count)),
    ]
    if predicted:
        found.append(Column("pre-\ndicted", lambda row: _maybe(row.predicted, _count)))
        found.append(Column("resid-\nual", lambda row: _maybe(residual(row.entry, row.predicted), _signed)))
    if len(contest.entries) > 1 or not contest.entries[0].check.needs_others:
        judge = next((entry.label for entry in contest.entries if entry.check.kind == "reference"), "single")
        found.append(Column(f"same as\n{judge}", lambda row: check_cell(row.entry.run, row.entry.check), words=True))
    return found


def _maybe(value: float | None, show: Callable[[float], str]) -> str:
    return DASH if value is None else show(value)


def _count(value: float) -> str:
    return human_count(value) if value else DASH


def _signed(value: float) -> str:
    return f"{value:+.0%}"


def _span(interval: Interval, show: Callable[[float], str]) -> str:
    return f"{show(interval.low)}–{show(interval.high)}" if interval.low < interval.high else DASH


def _ratio(row: _Row) -> str:
    return f"{row.entry.ratio.middle:.2f}×" if row.entry.ratio else DASH


def _ratio_interval(row: _Row) -> str:
    return _span(row.entry.ratio, lambda ratio: f"{ratio:.2f}") if row.entry.ratio else DASH


def _verdict(row: _Row) -> str:
    if row.entry.refused:
        return "✗ not comparable"
    if row.entry.label == row.contest.baseline:
        return "baseline"
    return "ceiling" if row.entry.strategy == "noop" else row.entry.finding or DASH


def _over_single(row: _Row) -> str:
    single = row.contest.strategy("single")
    if single is None or row.entry.refused or not row.entry.rates:
        return DASH
    return f"{row.entry.rate.middle / single.rate.middle:.2f}×"
