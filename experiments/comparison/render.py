"""A comparison in the order in which one reads it: the verdict, the tables, the warnings, the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.comparison.contest_table import contest_table, legend, title
from experiments.comparison.equivalence import ParameterCheck
from experiments.comparison.model import Comparison, Contest
from experiments.comparison.predictions import Predictions, unpredicted
from experiments.comparison.run_table import runs_table
from experiments.comparison.wording import located, setting_words, verdict_sentence
from experiments.format.table import markdown_table, terminal_table
from experiments.runs.describe import error_line, limits_line
from experiments.runs.run import Run

if TYPE_CHECKING:
    from rich.console import Console


def print_comparison(comparison: Comparison, predicted: Predictions, console: Console) -> None:
    """Write it to `console`, in lines of its width; of a single contest also where the time of a step goes."""
    console.print(f"{verdict_sentence(comparison)}\n")
    for place, contest in enumerate(comparison.contests):
        console.print(_heading(comparison, contest), style="bold" if comparison.axes else "")
        console.print(terminal_table(contest_table(contest, _of(predicted, place)), console.width))
        console.print()
    if len(comparison.contests) == 1:
        console.print(terminal_table(runs_table(*_middle_runs(comparison.contests[0])), console.width))
        console.print()
    for line in remarks(comparison, predicted):
        console.print(line)
    console.print(f"\nlimits: {limits(comparison)}")


def markdown_comparison(comparison: Comparison, predicted: Predictions) -> str:
    """The same as GitHub markdown; ends with a newline."""
    parts = [f"**{verdict_sentence(comparison)}**"]
    for place, contest in enumerate(comparison.contests):
        parts += [_heading(comparison, contest), markdown_table(contest_table(contest, _of(predicted, place))).rstrip()]
    if len(comparison.contests) == 1:
        parts.append(markdown_table(runs_table(*_middle_runs(comparison.contests[0]))).rstrip())
    if lines := remarks(comparison, predicted):
        parts.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join([*parts, f"Limits: {limits(comparison)}"]) + "\n"


def _middle_runs(contest: Contest) -> tuple[list[Run], list[ParameterCheck], list[str]]:
    """Of each entry that can be compared the run in the middle, what is known of its result, its name; as ranked."""
    entries = [entry for entry in contest.ranked if entry.refused is None]
    return [one.run for one in entries], [one.check for one in entries], [one.label for one in entries]


def _of(predicted: Predictions, place: int) -> Mapping[str, float]:
    return {label: rate for (at, label), rate in predicted.items() if at == place}


def _heading(comparison: Comparison, contest: Contest) -> str:
    """What was run, and what else tells this contest from the others."""
    others = {
        key: values for key, values in comparison.axes.items() if key not in ("workers", "batch", "model", "data")
    }
    return title(contest) + (f"; {setting_words(contest, others)}" if others else "")


def remarks(comparison: Comparison, predicted: Predictions) -> list[str]:
    """How to read the tables, who is not predicted or not comparable and why, what failed, and what to beware of."""
    lines = [legend(comparison.contests)]
    without = [unpredicted(one, _of(predicted, place)) for place, one in enumerate(comparison.contests)]
    lines += dict.fromkeys(filter(None, without))
    for contest in comparison.contests:
        lines += [f"not comparable: {one.label} {one.refused}" for one in contest.entries if one.refused]
    lines += [failure_line(run) for run in comparison.failed]
    return lines + [f"warning: {line}" for line in warnings(comparison)]


def warnings(comparison: Comparison) -> list[str]:
    """Those of the comparison and of its contests; what all contests have in common once, the rest with its contest."""
    return [*comparison.warnings, *located(comparison, lambda contest: contest.warnings)]


def failure_line(run: Run) -> str:
    """What became of a run that did not come to its end."""
    error = run.summary.error
    return f"{run.status}: {run.strategy} in {run.path.name}" + (f": {error_line(error)}" if error else "")


def limits(comparison: Comparison) -> str:
    """What limits these runs, from the one with the most ranks."""
    runs = [entry.run for contest in comparison.contests for entry in contest.entries]
    largest = max(runs, key=lambda run: run.summary.processes)
    return limits_line(largest.summary, largest.env, [run.summary for run in runs])
