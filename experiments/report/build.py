"""Everything that a report says, as plain values."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.comparison.load import compare_paths
from experiments.comparison.model import Comparison, Contest
from experiments.comparison.predictions import not_predicted
from experiments.comparison.render import limits as limits_line
from experiments.comparison.tables import contest_table
from experiments.comparison.wording import setting_words, verdict_sentence
from experiments.format.table import Table
from experiments.format.units import human_bytes, human_count
from experiments.format.words import plural
from experiments.report.bottlenecks import largest_run, limits, share_table, shares
from experiments.report.embed import Plates, plates
from experiments.report.failures import Failure, failures
from experiments.report.reproduce import Command, commands
from experiments.report.warnings import environment_of, warnings
from experiments.runs.describe import conditions
from experiments.runs.find import find_runs
from experiments.runs.run import Run
from experiments.sweep.folder import finished

_STAMP = re.compile(r"(\d{8}T\d{6})Z-")
NAMES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "cpu": ("Processor", str),
    "cores": ("Cores in use", str),
    "memory_bytes": ("Memory", human_bytes),
    "hosts": ("Hosts", str),
    "link": ("Link", str),
    "transport": ("Transport", str),
    "threads_per_rank": ("Threads of each rank", str),
    "platform": ("System", str),
    "python": ("Python", str),
    "commit": ("Commit of syncbench", str),
}


@dataclass(frozen=True)
class Report:
    """The parts of the page; texts may be empty."""

    title: str
    headline: str
    conditions: str
    limits_line: str
    when: str
    warnings: list[str]
    tables: list[Table[Any]]  # one a contest
    charts: Plates
    limited: str  # the one of several contests that the limits are about
    limits: Mapping[str, str]  # a text by the name of the limit
    shares: Table[Any] | None
    failures: list[Failure]
    commands: list[Command]
    facts: Mapping[str, list[str]]
    parent: str  # of all `folders`; empty if they have none in common
    folders: list[str]


def report_on(paths: Sequence[str | Path], baseline: str | None = None) -> Report:
    """Collect the report on the runs in `paths`. ConfigError if there is no run, or one that cannot be read."""
    runs = find_runs(paths)
    comparison = compare_paths(paths, baseline)
    first = Path(paths[0])
    sweep = first if len(paths) == 1 and (first / "sweep.yaml").is_file() else None
    failed = failures(comparison.failed, finished(sweep) if sweep else [])
    # What limits the contest with the most processes limits the others at most as much.
    largest = max(comparison.contests, key=lambda contest: largest_run(contest).summary.processes, default=None)
    parents = {str(run.path.parent) for run in runs}
    parent = parents.pop() if len(parents) == 1 else ""
    rows = shares(largest.entries) if largest else []
    return Report(
        title=_STAMP.sub("", first.resolve().name) if len(paths) == 1 else plural(len(runs), "run"),
        headline=_headline(comparison, failed),
        conditions=conditions(runs),
        limits_line=limits_line(comparison) if largest else "",
        when=_when(runs),
        warnings=warnings(comparison, runs),
        tables=[_table(comparison, contest) for contest in comparison.contests],
        charts=plates(comparison) if largest else Plates(()),
        limited=setting_words(largest, comparison.axes) if largest and len(comparison.contests) > 1 else "",
        limits=limits(largest, rows) if largest else {},
        shares=share_table(rows) if rows else None,
        failures=failed,
        commands=commands(runs, sweep / "sweep.yaml" if sweep else None),
        facts=facts(runs),
        parent=parent,
        folders=[run.path.name if parent else str(run.path) for run in runs],
    )


def _table(comparison: Comparison, contest: Contest) -> Table[Any]:
    """The table of a contest, with its setting as title and notes on its entries as caption."""
    notes = [f"{entry.label} {note}." for entry in contest.entries for note in entry.notes]
    if without := not_predicted(contest):
        notes.append(f"{without[0].upper()}{without[1:]}.")
    title = setting_words(contest, comparison.axes)
    return dataclasses.replace(contest_table(contest), title=title, caption=" ".join(notes))


def _headline(comparison: Comparison, failed: Sequence[Failure]) -> str:
    """Return the verdict, the figures of the only entry, or what failed."""
    if len(comparison.entries) > 1:
        return verdict_sentence(comparison)
    if len(failed) == 1 and not comparison.entries:
        return f"{failed[0].what} did not come to its end. {failed[0].sentence}"
    if not comparison.entries:
        return f"None of {plural(len(failed), 'run')} came to its end"
    (entry,) = comparison.entries
    accuracy, loss = entry.run.summary.test_accuracy, entry.run.summary.final_loss
    figures = [f"{human_count(entry.rate.middle)} samples/s"] if entry.rates else []
    figures += [f"test accuracy {accuracy:.1%}"] if accuracy is not None else []
    figures += [f"final loss {loss:.3g}"] if loss is not None else []
    return f"{entry.label}: {', '.join(figures) or 'it came to its end and recorded nothing'}"


def _when(runs: Sequence[Run]) -> str:
    """The UTC time of the first and last run, from the names of their folders; empty if these have no time."""
    stamps = sorted(match[1] for run in runs if (match := _STAMP.match(run.path.resolve().name)))
    if not stamps:
        return ""
    moments = [datetime.strptime(stamp, "%Y%m%dT%H%M%S") for stamp in (stamps[0], stamps[-1])]
    return " to ".join(dict.fromkeys(f"{moment.day} {moment:%B %Y, %H:%M}" for moment in moments)) + " UTC"


def facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return what is recorded, in a fixed order; versions of packages last."""
    every = [environment_of(run) for run in runs]
    found = {
        title: [show(value) for env in every if (value := getattr(env, key)) is not None]
        for key, (title, show) in NAMES.items()
    }
    for env in every:
        for package, version in env.versions.items():
            found.setdefault(package, []).extend([version] if version else [])
    return {name: list(dict.fromkeys(values)) for name, values in found.items() if values}
