"""A contest as a table, for terminals and as markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from experiments.comparison.model import Contest, Entry
from experiments.comparison.predictions import residual
from experiments.comparison.run_table import check_cell
from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_count, human_ms
from experiments.format.words import plural
from experiments.metrics.intervals import Interval
from experiments.runs.describe import conditions


@dataclass(frozen=True)
class _Row:
    """An entry, and what its row says besides it."""

    entry: Entry
    contest: Contest
    predicted: float | None  # samples/s


def contest_table(contest: Contest, predicted: Mapping[str, float]) -> Table[_Row]:
    """Return a table with one row an entry; `predicted` is in samples/s, by label."""
    rows = [_Row(entry, contest, predicted.get(entry.label)) for entry in contest.ranked]
    return Table(_columns(contest, predicted), rows, kind=_kind, remark=_remark)


def _kind(row: _Row) -> str:
    if row.entry.refused:
        return "refused"
    if row.entry.label == row.contest.baseline:
        return "baseline"
    return {"noop": "ceiling", "single": "yardstick"}.get(row.entry.strategy, "")


def _remark(row: _Row) -> str:
    return f"Not comparable: {row.entry.label} {row.entry.refused}." if row.entry.refused else ""


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


def _repeated(contest: Contest) -> bool:
    return any(len(entry.rates) > 1 for entry in contest.entries)


def _columns(contest: Contest, predicted: Mapping[str, float]) -> list[Column[_Row]]:
    base, single, repeated = contest.reference, contest.strategy("single"), _repeated(contest)
    found = [
        Column[_Row]("strategy", lambda row: row.entry.label, words=True),
        Column("n", lambda row: len(row.entry.rates), spare=5),
        Column("samples\n/s", _rate, human_count),
    ]
    if repeated:
        found.append(Column("95 %\ninterval", lambda row: row.entry.rate, _count_span, spare=2))
    if base is not None and len(contest.entries) > 1:
        found.append(Column(f"/ {base.label}"[:14], lambda row: row.entry.ratio, lambda ratio: f"{ratio.middle:.2f}×"))
        if repeated:
            found.append(Column("interval\nof ratio", lambda row: row.entry.ratio, _ratio_span))
    if repeated or any(entry.refused or entry.exact for entry in contest.entries):
        found.append(Column("verdict", _verdict))
    if contest.strategy("noop"):
        found.append(Column("of\nceiling", lambda row: row.entry.share, lambda share: f"{share:.0%}", spare=1))
    if single and single.rates and base is not single:
        found.append(Column("/\nsingle", _over_single, lambda ratio: f"{ratio:.2f}×", spare=6))
    found += [
        Column("ms/\nstep", _step_seconds, human_ms, spare=7),
        Column("/s per\nworker", lambda row: row.entry.per_worker or None, human_count, spare=3),
        Column("/s per\nprocess", lambda row: row.entry.per_process or None, human_count),
    ]
    if predicted:
        found.append(Column("pre-\ndicted", lambda row: row.predicted, human_count))
        found.append(Column("resid-\nual", lambda row: residual(row.entry, row.predicted), lambda part: f"{part:+.0%}"))
    if len(contest.entries) > 1 or not contest.entries[0].check.needs_others:
        judge = next((entry.label for entry in contest.entries if entry.check.kind == "reference"), "single")
        same = f"same as\n{judge}"
        found.append(Column(same, lambda row: check_cell(row.entry.run, row.entry.check), words=True, spare=4))
    return found


def _rate(row: _Row) -> float | None:
    return row.entry.rate.middle if row.entry.rates else None


def _step_seconds(row: _Row) -> float | None:
    rate = _rate(row)
    return row.entry.run.summary.batch / rate if rate else None


def _count_span(interval: Interval) -> str:
    return _span(interval, human_count)


def _ratio_span(interval: Interval) -> str:
    return _span(interval, "{:.2f}".format)


def _span(interval: Interval, show: Callable[[float], str]) -> str:
    return f"{show(interval.low)}–{show(interval.high)}" if interval.low < interval.high else DASH


def _verdict(row: _Row) -> str | None:
    if row.entry.refused:
        return "✗ not comparable"
    if row.entry.label == row.contest.baseline:
        return "baseline"
    return "ceiling" if row.entry.strategy == "noop" else row.entry.finding


def _over_single(row: _Row) -> float | None:
    single = row.contest.strategy("single")
    if single is None or row.entry.refused or not row.entry.rates:
        return None
    return row.entry.rate.middle / single.rate.middle
