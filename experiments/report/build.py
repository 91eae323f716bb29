"""Everything that a report says, as plain values; how it looks is the template's business."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.comparison.wording import setting_words, verdict_sentence
from experiments.format.units import human_count
from experiments.format.words import plural
from experiments.report.bottlenecks import Limit, largest_run, limits, shares
from experiments.report.embed import Plates, plates
from experiments.report.environment import Fact, environment_of, facts
from experiments.report.failures import Failure, failures
from experiments.report.reproduce import Command, commands
from experiments.report.tables import Table, contest_tables, share_table
from experiments.report.warnings import warnings
from experiments.runs.describe import conditions, limits_line
from experiments.runs.find import find_runs
from experiments.runs.run import Run
from experiments.sweep.journal import finished

if TYPE_CHECKING:
    from experiments.comparison import Comparison, Contest, Entry

_STAMP = re.compile(r"(\d{8}T\d{6})Z-")


@dataclass(frozen=True)
class Report:
    """What is said, part by part; texts may be empty."""

    title: str
    headline: str
    conditions: str
    limits_line: str
    when: str
    warnings: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: Plates
    limited: str  # which of several contests the limits are about
    limits: tuple[Limit, ...]
    shares: Table | None
    failures: tuple[Failure, ...]
    commands: tuple[Command, ...]
    facts: tuple[Fact, ...]
    parent: str  # of all `folders`; empty if they have none in common
    folders: tuple[str, ...]


def report_on(paths: Sequence[str | Path], baseline: str | None = None) -> Report:
    """Of the runs in `paths`. ConfigError if there is none, or one that cannot be read."""
    from experiments.comparison import compare_paths
    from experiments.comparison.predictions import predictions

    runs = find_runs(paths)
    comparison = compare_paths(paths, baseline)
    predicted = predictions(comparison)
    sweep = _sweep_of(paths)
    failed = failures(comparison.failed, finished(sweep) if sweep else [])
    largest = _largest(comparison)
    parents = {str(run.path.parent) for run in runs}
    parent = parents.pop() if len(parents) == 1 else ""
    rows = shares(largest.entries) if largest else []
    charts = plates(comparison, predicted) if largest else Plates(())
    return Report(
        title=_title(paths, runs),
        headline=_headline(comparison, failed),
        conditions=conditions(runs),
        limits_line=_limits_line(largest),
        when=_when(runs),
        warnings=tuple(warnings(comparison, runs)),
        tables=tuple(contest_tables(comparison, predicted)),
        charts=charts,
        limited=setting_words(largest, comparison.axes) if largest and len(comparison.contests) > 1 else "",
        limits=tuple(limits(largest, rows)) if largest else (),
        shares=share_table(rows) if rows else None,
        failures=tuple(failed),
        commands=tuple(commands(runs, sweep / "sweep.yaml" if sweep else None)),
        facts=tuple(facts(runs)),
        parent=parent,
        folders=tuple(run.path.name if parent else str(run.path) for run in runs),
    )


def _sweep_of(paths: Sequence[str | Path]) -> Path | None:
    """The folder of the sweep, if `paths` is one and nothing else."""
    (first, *more) = map(Path, paths)
    return first if not more and (first / "sweep.yaml").is_file() else None


def _largest(comparison: Comparison) -> Contest | None:
    """The contest with the most processes: what limits it is what limits the others, or more."""

    def size(contest: Contest) -> float:
        return largest_run(contest).summary.processes

    return max((contest for contest in comparison.contests if contest.entries), key=size, default=None)


def _limits_line(contest: Contest | None) -> str:
    if contest is None:
        return ""
    run = largest_run(contest)
    every = [each.summary for entry in contest.entries for each in entry.runs]
    return limits_line(run.summary, environment_of(run), every)


def _headline(comparison: Comparison, failed: Sequence[Failure]) -> str:
    entries = [entry for contest in comparison.contests for entry in contest.entries]
    if len(entries) == 1:
        return alone(entries[0])
    if entries:
        return verdict_sentence(comparison)
    if len(failed) == 1:
        first = failed[0].sentence
        return f"{failed[0].what} did not come to its end. {first}"
    return f"None of {plural(len(failed), 'run')} came to its end"


def alone(entry: Entry) -> str:
    """Of one that has nobody to be compared with: what it did."""
    accuracy, loss = entry.run.summary.test_accuracy, entry.run.summary.final_loss
    told = [f"{human_count(entry.rate.middle)} samples/s"] if entry.rates else []
    told += [f"test accuracy {accuracy:.1%}"] if accuracy is not None else []
    told += [f"final loss {loss:.3g}"] if loss is not None else []
    return f"{entry.label}: {', '.join(told) or 'it came to its end, and recorded nothing'}"


def _title(paths: Sequence[str | Path], runs: Sequence[Run]) -> str:
    """The name of the one folder, without its time; else what the runs are."""
    if len(paths) == 1:
        return _STAMP.sub("", Path(paths[0]).resolve().name)
    return plural(len(runs), "run")


def _when(runs: Sequence[Run]) -> str:
    """The UTC time of the first and last run, from the names of their folders; empty if they do not tell."""
    stamps = sorted(match[1] for run in runs if (match := _STAMP.match(run.path.resolve().name)))
    if not stamps:
        return ""
    first, last = (datetime.strptime(stamp, "%Y%m%dT%H%M%S") for stamp in (stamps[0], stamps[-1]))
    text = f"{first.day} {first:%B %Y, %H:%M}"
    if last.date() != first.date():
        return f"{text} to {last.day} {last:%B %Y, %H:%M} UTC"
    return f"{text} to {last:%H:%M} UTC" if last.strftime("%H:%M") != first.strftime("%H:%M") else f"{text} UTC"
