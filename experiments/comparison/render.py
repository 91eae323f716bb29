"""Show a comparison in reading order: the verdict, the tables, the remarks, the limits."""

from typing import Any

from experiments.comparison.model import Comparison, Contest
from experiments.comparison.predictions import not_predicted
from experiments.comparison.tables import contest_table, repeated, runs_table
from experiments.comparison.wording import located, setting_words, verdict_sentence
from experiments.format.table import Table, markdown_table
from experiments.format.words import plural
from experiments.runs.describe import conditions, error_line, limits_line


def terminal_parts(comparison: Comparison) -> list[str | Table[Any]]:
    """Return the lines and tables that a terminal shows. ConfigError."""
    sentence, line = f"{verdict_sentence(comparison)}\n", f"\nlimits: {limits(comparison)}"
    return [sentence, *_tables(comparison), *remarks(comparison), line]


def markdown_comparison(comparison: Comparison) -> str:
    """Return the comparison as GitHub markdown; ends with a newline."""
    parts = [f"**{verdict_sentence(comparison)}**"]
    parts += [part if isinstance(part, str) else markdown_table(part).rstrip() for part in _tables(comparison)]
    parts.append("\n".join(f"- {line}" for line in remarks(comparison)))
    return "\n\n".join([*parts, f"Limits: {limits(comparison)}"]) + "\n"


def _tables(comparison: Comparison) -> list[str | Table[Any]]:
    """Return the heading and the table of each contest; of a single contest also the median runs in detail."""
    parts: list[str | Table[Any]] = []
    for contest in comparison.contests:
        parts += [_heading(comparison, contest), contest_table(contest)]
    if len(comparison.contests) == 1:
        entries = [entry for entry in comparison.contests[0].ranked if entry.refused is None]
        runs, checks = [entry.run for entry in entries], [entry.check for entry in entries]
        parts.append(runs_table(runs, checks, [entry.label for entry in entries]))
    return parts


def _heading(comparison: Comparison, contest: Contest) -> str:
    """Return the conditions of a contest, the number of repeats, and what else tells it from the others."""
    counts = sorted({len(entry.runs) for entry in contest.entries})
    often = plural(counts[0], "repeat") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} repeats"
    heading = conditions([run for entry in contest.entries if not entry.refused for run in entry.runs])
    others = [key for key in comparison.axes if key not in ("workers", "batch", "model", "data")]
    return f"{heading}; {often} of each" + (f"; {setting_words(contest, others)}" if others else "")


def remarks(comparison: Comparison) -> list[str]:
    """Return how to read the tables, what is not predicted or not comparable, what failed, and the warnings."""
    lines = [_legend(comparison), *filter(None, dict.fromkeys(map(not_predicted, comparison.contests)))]
    lines += [f"not comparable: {entry.label} {entry.refused}" for entry in comparison.entries if entry.refused]
    for run in comparison.failed:
        error = f": {error_line(run.summary.error)}" if run.summary.error else ""
        lines.append(f"{run.status}: {run.strategy} in {run.path.name}{error}")
    warnings = [*comparison.warnings, *located(comparison, lambda contest: contest.warnings)]
    return lines + [f"warning: {line}" for line in warnings]


def _legend(comparison: Comparison) -> str:
    words = ["samples/s: median of the repeats, without warm-up"]
    if any(map(repeated, comparison.contests)):
        words.append("intervals: 95 %, of the bootstrap and widened for few repeats (docs/comparison.md)")
        words.append("no difference: the interval of the ratio spans 1")
    if any(entry.exact for entry in comparison.entries):
        words.append("virtual time, training of a given length: the same each time, so one run is enough for a verdict")
    if any(contest.strategy("noop") for contest in comparison.contests):
        words.append("ceiling: noop, which does not synchronise")
    return "; ".join(words)


def limits(comparison: Comparison) -> str:
    """Return one line on what limits these runs, from the run with the most processes."""
    runs = [entry.run for entry in comparison.entries]
    largest = max(runs, key=lambda run: run.summary.processes)
    return limits_line(largest.summary, largest.env, [run.summary for run in runs])
