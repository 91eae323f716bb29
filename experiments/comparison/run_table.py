"""What the numbers say: tables for terminals and for markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from rich.table import Table

from common.errors import step_name
from common.records.stage_clock import STAGES
from experiments.comparison.equivalence import ParameterCheck
from experiments.format.table import DASH, Column, markdown_table, terminal_table
from experiments.format.units import human_bytes, human_count, human_deviation, human_ms
from experiments.runs.describe import conditions
from experiments.runs.labels import labels
from experiments.runs.run import Role, Run, hidden_seconds_per_step, stage_seconds_per_step
from experiments.schema.documents import ErrorRecord

_HIDDEN = "sync\nhidden"
_SPARE = (
    "part %",
    "prep %",
    "load %",
    "too late %",
    "update %",
    "sync hidden",
    "final loss",
    "ms/ step",
    "test acc.",
    "vs noop",
)  # first to go
_STALE, _DROPPED = "stale\nmean–max", "too\nlate %"
_SHORT = dict(zip(STAGES, ("prep", "part", "load", "train", "sync", "update"), strict=True))


@dataclass(frozen=True)
class _Entry:
    """One row: a run, its label, its verdict and its ceiling."""

    run: Run
    label: str
    verdict: ParameterCheck
    top: float | None
    stages: Mapping[str, float]  # seconds per step; empty where unknown
    hidden: float  # seconds of synchronisation per step, beside `train`


def runs_table(
    runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str] | None = None, *, width: int = 120
) -> Table:
    """One row a run; the least important columns are left out until it fits into `width` columns of a terminal.

    `names` are what the runs are called, None: by `labels`.
    """
    names = names or labels(runs)
    return terminal_table(
        _columns(runs, checks, names),
        _entries(runs, checks, names),
        width=width,
        spare=_SPARE,
        dim=lambda entry: entry.run.status != "ok",
        caption="\n".join(_caption(runs, checks, names)),
    )


def markdown(runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str] | None = None) -> str:
    """The same table as GitHub markdown, with every column; ends with a newline."""
    names = names or labels(runs)
    table = markdown_table(_columns(runs, checks, names), _entries(runs, checks, names))
    return f"{table}\n" + "".join(f"{line}\n\n" for line in _caption(runs, checks, names))[:-1]


def _entries(runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str]) -> list[_Entry]:
    return [
        _Entry(run, label, verdict, ceiling(run, runs), stage_seconds_per_step(run) or {}, hidden_seconds_per_step(run))
        for run, label, verdict in zip(runs, names, checks, strict=True)
    ]


def _columns(runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str]) -> list[Column[_Entry]]:
    references = (label for label, verdict in zip(names, checks, strict=True) if verdict.kind == "reference")
    return [
        Column("strategy", lambda e: e.label, words=True),
        Column("samples\n/s", lambda e: _maybe(e.run.summary.samples_per_second, human_count)),
        *([Column("vs\nnoop", _share_of_ceiling)] if any(ceiling(run, runs) for run in runs) else []),
        Column("ms/\nstep", _step_ms),
        *(Column(_SHORT[stage] + "\n%", _share_of(stage)) for stage in STAGES),
        *([Column(_HIDDEN, _share_hidden)] if any(map(hidden_seconds_per_step, runs)) else []),
        Column("worker\nsends", lambda e: _sent(e.run, "worker")),
        Column("server\nsends", lambda e: _sent(e.run, "server")),
        *([Column(_STALE, lambda e: _staleness(e.run))] if any(map(_stale, runs)) else []),
        *([Column(_DROPPED, lambda e: _dropped(e.run))] if any(map(_drops, runs)) else []),
        Column("test\nacc.", lambda e: _maybe(e.run.summary.test_accuracy, lambda value: f"{value:.1%}")),
        Column("final\nloss", lambda e: _maybe(e.run.summary.final_loss, lambda value: f"{value:.3g}")),
        *([Column(f"same as\n{next(references, 'single')}", _same, words=True)] if _told(runs, checks) else []),
    ]


def _told(runs: Sequence[Run], checks: Sequence[ParameterCheck]) -> bool:
    """Whether there is anything to say on results: of a run alone there is not, unless it went wrong."""
    return len(runs) != 1 or runs[0].status != "ok" or not checks[0].needs_others


def _same(entry: _Entry) -> str:
    return check_cell(entry.run, entry.verdict)


def _maybe(value: float | None, show: Callable[[float], str]) -> str:
    return DASH if value is None else show(value)


def _share_of_ceiling(entry: _Entry) -> str:
    """Of what synchronises: one process has nobody to wait for, so no ceiling bounds it."""
    if entry.run.strategy == "single":
        return DASH
    rate = entry.run.summary.samples_per_second
    return DASH if rate is None or not entry.top else f"{rate / entry.top:.0%}"


def _step_ms(entry: _Entry) -> str:
    rate = entry.run.summary.samples_per_second
    return human_ms(entry.run.summary.batch / rate) if rate else DASH


def _share_of(stage: str) -> Callable[[_Entry], str]:
    def cell(entry: _Entry) -> str:
        if stage == "synchronize" and entry.run.within_train:
            return DASH
        total = math.fsum(entry.stages.values())
        return f"{100 * entry.stages[stage] / total:.0f}" if total > 0 else DASH

    return cell


def _share_hidden(entry: _Entry) -> str:
    whole = entry.hidden + entry.stages.get("synchronize", 0.0)
    return f"{entry.hidden / whole:.0%}" if whole > 0 and not entry.run.within_train else DASH


def _sent(run: Run, role: Role) -> str:
    return human_bytes(max(sent)) if (sent := run.sent_per_step(role)) else DASH


def _stale(run: Run) -> bool:
    return bool(run.summary.staleness_max)


def _staleness(run: Run) -> str:
    """Mean and maximum over the applied pushes, in steps: `0.73–3`."""
    counts = run.summary.staleness_histogram
    if not counts:
        return DASH
    mean = sum(steps * count for steps, count in counts.items()) / sum(counts.values())
    return f"{mean:.2g}–{max(counts)}" if max(counts) else "0"


def _drops(run: Run) -> bool:
    return run.summary.pushes is not None and run.summary.pushes.dropped > 0


def _dropped(run: Run) -> str:
    pushes = run.summary.pushes
    return f"{100 * pushes.dropped / (pushes.applied + pushes.dropped):.0f}" if pushes else DASH


def check_cell(run: Run, verdict: ParameterCheck) -> str:
    """`✓ 1e-7`, `✗ 2e-1`, `reference`, `– not promised`."""
    if run.status != "ok":
        return f"✗ {run.status}"
    mark = {"same": "✓", "differs": "✗"}.get(verdict.kind)
    if mark is None:
        return verdict.kind if verdict.kind == "reference" else f"{DASH} {verdict.kind}"
    if verdict.deviation is None:
        return mark
    return f"{mark} {human_deviation(verdict.deviation)}"


def _caption(runs: Sequence[Run], checks: Sequence[ParameterCheck], names: Sequence[str]) -> list[str]:
    lines = [
        f"{conditions(runs)}. {', '.join(_SHORT.values())}: share of a step's time in {', '.join(STAGES)}. "
        "sends: payload per step of the busiest rank. Throughput and shares without warm-up."
    ]
    if leaving := [count for run in runs for count in run.leaving_per_step()]:
        each = human_bytes(max(leaving))
        lines[0] += f" A colocated server shares its worker's link: {each} a step leave the busiest process."
    if any(map(hidden_seconds_per_step, runs)):
        lines[0] += " sync hidden: share of the synchronisation that ran beside train and is part of its time."
    if any(map(_stale, runs)):
        lines[0] += " stale: steps that a gradient was behind the newest one when it was applied."
    if any(map(_drops, runs)):
        lines[0] += " too late: share of the gradients pushed that were dropped."
    if within := [label for run, label in zip(runs, names, strict=True) if run.within_train]:
        lines.append(f"the synchronisation of {', '.join(within)} is within train: its share is unknown")
    for run, label, verdict in zip(runs, names, checks, strict=True):
        if error := run.summary.error:
            lines.append(f"{label} {run.status}: {error_line(error)}")
        elif verdict.reason and _told(runs, checks):
            lines.append(f"{label}: {verdict.reason}")
    return lines


def error_line(error: ErrorRecord) -> str:
    """What a summary says went wrong, and where, in one line."""
    place = [f"{error.role} rank {error.rank}"] if error.role else []
    place += [f"stage {error.stage}"] if error.stage else []
    place += [step_name(error.step)] if error.step is not None else []
    place += [f"bucket {error.bucket}"] if error.bucket else []
    return ": ".join(part for part in (error.type, ", ".join(place), " ".join(error.cause.split())) if part)


def ceiling(run: Run, runs: Sequence[Run]) -> float | None:
    """Samples/s of the first `noop` among `runs` that did what `run` did, on as many workers; None without one."""
    alike = attrgetter("workers", "batch", "model", "data", "transport")
    for other in runs:
        same = alike(other.summary) == alike(run.summary)
        if other.strategy == "noop" and same and (rate := other.summary.samples_per_second):
            return rate
    return None
