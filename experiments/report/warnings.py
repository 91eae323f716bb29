"""What a reader must know before believing the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from experiments.comparison.caveats import SCATTER, scatter
from experiments.comparison.wording import setting_words
from experiments.launch.recovery import deaths_line, restarts_line
from experiments.metrics.traffic import imbalance
from experiments.report.environment import environment_of
from experiments.runs.run import Run

if TYPE_CHECKING:
    from experiments.comparison import Comparison, Contest


def warnings(comparison: Comparison, runs: Sequence[Run]) -> list[str]:
    """One sentence each, the gravest first, none twice."""
    found = [
        *_refused(comparison),
        *_scatter(comparison),
        *comparison.warnings,
        *_of_contests(comparison),
        *_events(runs),
        *_code(runs),
    ]
    return list(dict.fromkeys(map(_sentence, found)))


def _sentence(line: str) -> str:
    """Labels keep their letters: only words of ours that begin a line get a large one."""
    text = (
        line[:1].upper() + line[1:]
        if line.startswith(
            ("no ", "without ", "versions ", "machine ", "threads ", "half-written ", "cell ", "the sweep ", "whether ")
        )
        else line
    )
    return text if text.endswith(".") else f"{text}."


def _refused(comparison: Comparison) -> list[str]:
    return _said(
        comparison,
        lambda contest: [f"{e.label} is not comparable: it {e.refused}" for e in contest.entries if e.refused],
    )


def _scatter(comparison: Comparison) -> list[str]:
    """One line for all, as on a busy machine it would be one for each."""
    every = [entry for contest in comparison.contests for entry in contest.entries]
    wide = [entry for entry in every if scatter(entry.rates, entry.rate.middle) > SCATTER]
    if not wide:
        return []
    who = f"{len(wide)} of {len(every)} entries"
    return [f"The repeats of {who} lie more than {SCATTER:.0%} apart: see the remarks in the table"]


def _of_contests(comparison: Comparison) -> list[str]:
    """What else is said of contests, without the notes on entries, which stand in their tables."""

    def others(contest: Contest) -> list[str]:
        notes = {f"{entry.label} {note}" for entry in contest.entries for note in entry.notes}
        return [line for line in contest.warnings if line not in notes]

    return _said(comparison, others)


def _said(comparison: Comparison, lines_of: Callable[[Contest], Sequence[str]]) -> list[str]:
    """Each line once, with the contests that it is about, unless it is about all."""
    where: dict[str, list[str]] = {}
    for contest in comparison.contests:
        for line in dict.fromkeys(lines_of(contest)):
            where.setdefault(line, []).append(setting_words(contest, comparison.axes))
    everywhere = len(comparison.contests)
    return [line if len(places) == everywhere else f"{' and '.join(places)}: {line}" for line, places in where.items()]


def _events(runs: Sequence[Run]) -> list[str]:
    """What happened on the way in runs that came to their end all the same."""
    told = []
    for run in runs:
        summary = run.summary
        if deaths := summary.deaths:
            told.append(f"{run.path.name}: {deaths_line(deaths, summary.workers)}.")
        if restarts := summary.restarts:
            lost = summary.pushes.lost if summary.pushes else 0
            told.append(f"{run.path.name}: {restarts_line(restarts, lost)}.")
        if uneven := imbalance(summary):
            told.append(f"{run.path.name}: {uneven}.")
    return told


def _code(runs: Sequence[Run]) -> list[str]:
    """A commit with a + had files changed: nobody else can check that code out."""
    changed = sorted({str(commit) for run in runs if (commit := environment_of(run).commit or "").endswith("+")})
    return [f"The code had changes that were not committed, on top of {each[:-1]}." for each in changed]
