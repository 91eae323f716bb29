"""The table of a contest: one row an entry, for terminals and markdown."""

from __future__ import annotations

from experiments.comparison.model import Contest, Entry
from experiments.comparison.run_table import check_cell
from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_count, human_ms
from experiments.metrics.intervals import Interval


def contest_table(contest: Contest) -> Table[Entry]:
    """Return a table with one row an entry, ranked."""
    return Table(_columns(contest), contest.ranked, kind=lambda entry: _kind(entry, contest), remark=_remark)


def _kind(entry: Entry, contest: Contest) -> str:
    if entry.refused:
        return "refused"
    if entry.label == contest.baseline:
        return "baseline"
    return {"noop": "ceiling", "single": "yardstick"}.get(entry.strategy, "")


def _remark(entry: Entry) -> str:
    return f"Not comparable: {entry.label} {entry.refused}." if entry.refused else ""


def repeated(contest: Contest) -> bool:
    """Whether an entry has several repeats with a throughput."""
    return any(len(entry.rates) > 1 for entry in contest.entries)


def _columns(contest: Contest) -> list[Column[Entry]]:
    base, single, several = contest.reference, contest.strategy("single"), repeated(contest)
    found: list[Column[Entry]] = [
        Column("strategy", lambda entry: entry.label, words=True),
        Column("n", lambda entry: len(entry.rates), spare=5),
        Column("samples\n/s", lambda entry: entry.rate.middle if entry.rates else None, human_count),
    ]
    if several:
        found.append(Column("95 %\ninterval", lambda entry: entry.rate, _count_interval, spare=2))
    if base is not None and len(contest.entries) > 1:
        found.append(Column(f"/ {base.label}"[:14], lambda entry: entry.ratio and entry.ratio.middle, "{:.2f}×".format))
        if several:
            found.append(Column("interval\nof ratio", lambda entry: entry.ratio, _ratio_interval))
    if several or any(entry.refused or entry.exact for entry in contest.entries):
        found.append(Column("verdict", lambda entry: _verdict(entry, contest)))
    if contest.strategy("noop"):
        found.append(Column("of\nceiling", lambda entry: entry.share, "{:.0%}".format, spare=1))
    if single and single.rates and base is not single:
        found.append(Column("/\nsingle", lambda entry: _quotient(entry, single), "{:.2f}×".format, spare=6))
    found += [
        Column("ms/\nstep", _step_seconds, human_ms, spare=7),
        Column("/s per\nworker", lambda entry: entry.per_worker or None, human_count, spare=3),
        Column("/s per\nprocess", lambda entry: entry.per_process or None, human_count),
    ]
    if any(entry.predicted for entry in contest.entries):
        found.append(Column("pre-\ndicted", lambda entry: entry.predicted, human_count))
        found.append(Column("resid-\nual", lambda entry: entry.residual, "{:+.0%}".format))
    if len(contest.entries) > 1 or not contest.entries[0].check.needs_others:
        judge = next((entry.label for entry in contest.entries if entry.check.kind == "reference"), "single")
        found.append(Column(f"same as\n{judge}", lambda entry: check_cell(entry.run, entry.check), words=True, spare=4))
    return found


def _step_seconds(entry: Entry) -> float | None:
    return entry.run.summary.batch / entry.rate.middle if entry.rates else None


def _count_interval(interval: Interval) -> str:
    ends = f"{human_count(interval.low)}–{human_count(interval.high)}"
    return ends if interval.low < interval.high else DASH


def _ratio_interval(interval: Interval) -> str:
    return f"{interval.low:.2f}–{interval.high:.2f}" if interval.low < interval.high else DASH


def _verdict(entry: Entry, contest: Contest) -> str | None:
    if entry.refused:
        return "✗ not comparable"
    if entry.label == contest.baseline:
        return "baseline"
    return "ceiling" if entry.strategy == "noop" else entry.finding


def _quotient(entry: Entry, other: Entry) -> float | None:
    return None if entry.refused or not entry.rates else entry.rate.middle / other.rate.middle
