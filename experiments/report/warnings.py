"""The warnings that a reader must know before relying on the numbers."""

from collections.abc import Iterable, Sequence

from common.errors import ConfigError
from experiments.comparison.caveats import SCATTER, scatter
from experiments.comparison.model import Comparison, Contest
from experiments.comparison.wording import located
from experiments.metrics.traffic import imbalance
from experiments.runs.describe import deaths_line, restarts_line
from experiments.runs.run import Run
from experiments.schema.documents import Environment

_OURS = ("no ", "without ", "versions ", "machine ", "threads ", "half-written ", "cell ", "the sweep ", "whether ")


def warnings(comparison: Comparison, runs: Sequence[Run]) -> list[str]:
    """Return one sentence each, the gravest first, none twice."""
    every = comparison.entries
    wide = sum(scatter(entry) > SCATTER for entry in every)  # one line for all: on a busy machine, every entry scatters
    apart = f"lie more than {SCATTER:.0%} apart: see the notes below the tables"
    changed = {commit for run in runs if (commit := environment_of(run).commit or "").endswith("+")}
    lines = [
        *located(comparison, _refusals),
        *([f"The repeats of {wide} of {len(every)} entries {apart}"] if wide else []),
        *comparison.warnings,
        *located(comparison, _of_contest),
        *(line for run in runs for line in _events(run)),
        *(f"The code had changes that were not committed, on top of {commit[:-1]}" for commit in sorted(changed)),
    ]
    # A label at the beginning of a line keeps its letters.
    sentences = (line[:1].upper() + line[1:] if line.startswith(_OURS) else line for line in lines)
    return list(dict.fromkeys(f"{sentence.removesuffix('.')}." for sentence in sentences))


def _refusals(contest: Contest) -> Iterable[str]:
    return (f"{entry.label} is not comparable: it {entry.refused}" for entry in contest.entries if entry.refused)


def _of_contest(contest: Contest) -> Iterable[str]:
    """The other warnings, without the notes on entries, which stand below their tables."""
    notes = {f"{entry.label} {note}" for entry in contest.entries for note in entry.notes}
    return (line for line in contest.warnings if line not in notes)


def _events(run: Run) -> list[str]:
    """Deaths, restarts and imbalance in a run."""
    summary = run.summary
    lost = summary.pushes.lost if summary.pushes else 0
    lines = [
        summary.deaths and deaths_line(summary.deaths, summary.workers),
        summary.restarts and restarts_line(summary.restarts, lost),
        imbalance(summary),
    ]
    return [f"{run.path.name}: {line}" for line in lines if line]


def environment_of(run: Run) -> Environment:
    """Return the run's env.json; an empty one if the file is missing or damaged."""
    try:
        return run.env
    except ConfigError:
        return Environment()
