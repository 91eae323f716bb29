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
    found = [
        *located(
            comparison,
            lambda contest: [
                f"{one.label} is not comparable: it {one.refused}" for one in contest.entries if one.refused
            ],
        ),
        *_scatter(comparison),
        *comparison.warnings,
        *located(comparison, _of_contest),
        *(line for run in runs for line in _events(run)),
        *_uncommitted(runs),
    ]
    return list(dict.fromkeys(map(_sentence, found)))


def _sentence(line: str) -> str:
    """Return the line as a sentence. A label at its beginning keeps its letters."""
    text = line[:1].upper() + line[1:] if line.startswith(_OURS) else line
    return text if text.endswith(".") else f"{text}."


def _of_contest(contest: Contest) -> Iterable[str]:
    """The other warnings, without the notes on entries, which stand below their tables."""
    notes = {f"{entry.label} {note}" for entry in contest.entries for note in entry.notes}
    return (line for line in contest.warnings if line not in notes)


def _scatter(comparison: Comparison) -> list[str]:
    """One line for all entries, because on a busy machine every entry scatters."""
    every = comparison.entries
    wide = [entry for entry in every if scatter(entry) > SCATTER]
    count = f"{len(wide)} of {len(every)} entries"
    return [f"The repeats of {count} lie more than {SCATTER:.0%} apart: see the notes below the tables"] if wide else []


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


def _uncommitted(runs: Sequence[Run]) -> list[str]:
    """A commit with a + had changed files: nobody else can check that code out."""
    commits = {environment_of(run).commit or "" for run in runs}
    changed = sorted(commit.removesuffix("+") for commit in commits if commit.endswith("+"))
    return [f"The code had changes that were not committed, on top of {commit}" for commit in changed]


def environment_of(run: Run) -> Environment:
    """Return the run's env.json; an empty one if the file is missing or damaged."""
    try:
        return run.env
    except ConfigError:
        return Environment()
