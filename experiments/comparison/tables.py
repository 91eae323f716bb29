"""The tables of a comparison: `contest_table` has a row an entry, `runs_table` a row a run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from common.records.stage_clock import STAGES
from experiments.comparison.equivalence import ParameterCheck
from experiments.comparison.model import Contest, Entry
from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_bytes, human_count, human_deviation, human_ms
from experiments.metrics.intervals import Interval
from experiments.runs.describe import conditions, error_line
from experiments.runs.labels import labels
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step

_SHORT = dict(zip(STAGES, ("prep", "part", "load", "train", "sync", "update"), strict=True))
_SPARE = {"partition": 10, "preprocess": 9, "load": 8, "update": 6}  # stages that a narrow terminal leaves out first


def contest_table(contest: Contest) -> Table[Entry]:
    """Return a table with one row an entry, ranked."""
    return Table(
        _contest_columns(contest),
        contest.ranked,
        kind=lambda entry: _kind(entry, contest),
        remark=lambda entry: f"Not comparable: {entry.label} {entry.refused}." if entry.refused else "",
    )


def _kind(entry: Entry, contest: Contest) -> str:
    if entry.refused:
        return "refused"
    if entry.label == contest.baseline:
        return "baseline"
    return {"noop": "ceiling", "single": "yardstick"}.get(entry.strategy, "")


def repeated(contest: Contest) -> bool:
    """Whether an entry has several repeats with a throughput."""
    return any(len(entry.rates) > 1 for entry in contest.entries)


def _contest_columns(contest: Contest) -> list[Column[Entry]]:
    base, single, several = contest.reference, contest.strategy("single"), repeated(contest)
    found: list[Column[Entry]] = [
        Column("strategy", lambda entry: entry.label, words=True),
        Column("n", lambda entry: len(entry.rates), spare=5),
        Column("samples\n/s", lambda entry: entry.rate.middle if entry.rates else None, human_count),
    ]
    if several:
        found.append(Column("95 %\ninterval", lambda entry: _span(entry.rate, human_count), spare=2))
    if base is not None and len(contest.entries) > 1:
        found.append(Column(f"/ {base.label}"[:14], lambda entry: entry.ratio and entry.ratio.middle, "{:.2f}×".format))
        if several:
            found.append(
                Column("interval\nof ratio", lambda entry: entry.ratio and _span(entry.ratio, "{:.2f}".format))
            )
    if several or any(entry.refused or entry.exact for entry in contest.entries):
        found.append(Column("verdict", lambda entry: _verdict(entry, contest)))
    if contest.strategy("noop"):
        found.append(Column("of\nceiling", lambda entry: entry.share, "{:.0%}".format, spare=1))
    if single and single.rates and base is not single:
        found.append(Column("/\nsingle", partial(_times, single), "{:.2f}×".format, spare=6))
    found += [
        Column("ms/\nstep", attrgetter("step_seconds"), human_ms, spare=7),
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


def _times(base: Entry, entry: Entry) -> float | None:
    return None if entry.refused or not entry.rates else entry.rate.middle / base.rate.middle


def _span(interval: Interval, show: Callable[[float], str]) -> str | None:
    return f"{show(interval.low)}–{show(interval.high)}" if interval.low < interval.high else None


def _verdict(entry: Entry, contest: Contest) -> str | None:
    kind = _kind(entry, contest)
    return {"refused": "✗ not comparable", "baseline": kind, "ceiling": kind}.get(kind, entry.finding)


@dataclass(frozen=True)
class _Row:
    """A run, and what its row says besides its summary."""

    run: Run
    label: str
    check: ParameterCheck
    ceiling: float | None  # samples/s
    stages: Mapping[str, float]  # seconds per step; empty where unknown
    hidden: float  # seconds of synchronisation per step, beside `train`

    @property
    def dropped(self) -> float | None:
        """The share of the pushes that were dropped; None if unknown."""
        pushes = self.run.summary.pushes
        return pushes.dropped / (pushes.applied + pushes.dropped) if pushes else None


def runs_table(
    runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str] | None = None
) -> Table[_Row]:
    """Return a table with one row a run; `names` are what the runs are called, None: by `labels`."""
    rows = [
        _Row(run, name, check, ceiling(run, runs), stage_seconds_per_step(run) or {}, hidden_seconds_per_step(run))
        for run, name, check in zip(runs, names or labels(runs), checks, strict=True)
    ]
    return Table(
        _run_columns(rows),
        rows,
        caption="\n".join(_caption(rows)),
        kind=lambda row: "" if row.run.status == "ok" else "failed",
    )


def _run_columns(rows: Sequence[_Row]) -> list[Column[_Row]]:
    columns: list[Column[_Row]] = [
        Column("strategy", lambda row: row.label, words=True),
        Column("samples\n/s", lambda row: row.run.summary.samples_per_second, human_count),
    ]
    if any(row.ceiling for row in rows):
        columns.append(Column("vs\nnoop", _share_of_ceiling, "{:.0%}".format, spare=1))
    columns.append(Column("ms/\nstep", _step_seconds, human_ms, spare=3))
    columns += [
        Column(_SHORT[stage] + "\n%", partial(_share, stage), _hundredths, spare=_SPARE.get(stage, 0))
        for stage in STAGES
    ]
    if any(row.hidden for row in rows):
        columns.append(Column("sync\nhidden", _share_hidden, "{:.0%}".format, spare=5))
    columns += [
        Column("worker\nsends", lambda row: max(row.run.sent_per_step("worker"), default=None), human_bytes),
        Column("server\nsends", lambda row: max(row.run.sent_per_step("server"), default=None), human_bytes),
    ]
    if any(row.run.summary.staleness_max for row in rows):
        columns.append(Column("stale\nmean–max", _staleness))
    if any(row.dropped for row in rows):
        columns.append(Column("too\nlate %", attrgetter("dropped"), _hundredths, spare=7))
    columns += [
        Column("test\nacc.", lambda row: row.run.summary.test_accuracy, "{:.1%}".format, spare=2),
        Column("final\nloss", lambda row: row.run.summary.final_loss, "{:.3g}".format, spare=4),
    ]
    if _checked(rows):
        reference = next((row.label for row in rows if row.check.kind == "reference"), "single")
        columns.append(Column(f"same as\n{reference}", lambda row: check_cell(row.run, row.check), words=True))
    return columns


def _hundredths(share: float) -> str:
    return f"{100 * share:.0f}"


def _checked(rows: Sequence[_Row]) -> bool:
    """Whether the checks of parameters say anything: of a run alone they do not, unless it went wrong."""
    return len(rows) != 1 or rows[0].run.status != "ok" or not rows[0].check.needs_others


def _share_of_ceiling(row: _Row) -> float | None:
    """Return the share of what `noop` does. One process waits for nobody, so `single` has no ceiling."""
    rate = row.run.summary.samples_per_second
    return None if rate is None or not row.ceiling or row.run.strategy == "single" else rate / row.ceiling


def _step_seconds(row: _Row) -> float | None:
    rate = row.run.summary.samples_per_second
    return row.run.summary.batch / rate if rate else None


def _share(stage: str, row: _Row) -> float | None:
    total = math.fsum(row.stages.values())
    unknown = total <= 0 or (stage == "synchronize" and row.run.within_train)
    return None if unknown else row.stages[stage] / total


def _share_hidden(row: _Row) -> float | None:
    whole = row.hidden + row.stages.get("synchronize", 0.0)
    return row.hidden / whole if whole > 0 and not row.run.within_train else None


def _staleness(row: _Row) -> str | None:
    """Return the mean and the maximum over the applied pushes, in steps: `0.73–3`."""
    counts = row.run.summary.staleness_histogram
    if not counts:
        return None
    mean = sum(steps * count for steps, count in counts.items()) / sum(counts.values())
    return f"{mean:.2g}–{max(counts)}" if max(counts) else "0"


def check_cell(run: Run, check: ParameterCheck) -> str:
    """Return `✓ 1e-7`, `✗ 2e-1`, `reference` or `– not promised`."""
    if run.status != "ok":
        return f"✗ {run.status}"
    mark = {"same": "✓", "differs": "✗"}.get(check.kind)
    if mark is None:
        return check.kind if check.kind == "reference" else f"{DASH} {check.kind}"
    return mark if check.deviation is None else f"{mark} {human_deviation(check.deviation)}"


def _caption(rows: Sequence[_Row]) -> list[str]:
    runs = [row.run for row in rows]
    parts = [
        f"{conditions(runs)}. {', '.join(_SHORT.values())}: share of a step's time in {', '.join(STAGES)}. "
        "sends: payload per step of the busiest rank. Throughput and shares without warm-up."
    ]
    if leaving := [count for run in runs for count in run.leaving_per_step()]:
        most = human_bytes(max(leaving))
        parts.append(f"A colocated server shares its worker's link: {most} a step leave the busiest process.")
    if any(row.hidden for row in rows):
        parts.append("sync hidden: share of the synchronisation that ran beside train and is part of its time.")
    if any(row.run.summary.staleness_max for row in rows):
        parts.append("stale: steps that a gradient was behind the newest one when it was applied.")
    if any(row.dropped for row in rows):
        parts.append("too late: share of the gradients pushed that were dropped.")
    lines = [" ".join(parts)]
    if within := [row.label for row in rows if row.run.within_train]:
        lines.append(f"the synchronisation of {', '.join(within)} is within train: its share is unknown")
    for row in rows:
        if error := row.run.summary.error:
            lines.append(f"{row.label} {row.run.status}: {error_line(error)}")
        elif row.check.reason and _checked(rows):
            lines.append(f"{row.label}: {row.check.reason}")
    return lines


def ceiling(run: Run, runs: Sequence[Run]) -> float | None:
    """Return the samples/s of the first `noop` in `runs` with the work and workers of `run`; None without one."""
    work = attrgetter("workers", "batch", "model", "data", "transport")
    noops = [other.summary for other in runs if other.strategy == "noop" and work(other.summary) == work(run.summary)]
    return next((noop.samples_per_second for noop in noops if noop.samples_per_second), None)
