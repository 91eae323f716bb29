"""Runs beside each other, as a verb shows them: which may be compared, the table, the check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.errors import CheckFailed
from experiments.results import Run
from experiments.verbs.speech import say

if TYPE_CHECKING:
    from rich.console import Console


def comparable(paths: Sequence[str]) -> list[Run]:
    """The finished runs in `paths`, if they did the same work; the others are named and left out."""
    from experiments.equivalence import same_work
    from experiments.results import find_runs

    runs = []
    for run in find_runs(paths):
        if run.status == "ok":
            runs.append(run)
        else:
            say(f"left out: {run.path} ({run.status} after {run.summary.get('steps_done')} steps)")
    if not runs:
        raise CheckFailed("nothing to show: no run came to its end")
    same_work(runs)
    return runs


def verdicts(runs: Sequence[Run]) -> list[Any]:
    """Whether each run computed the same as the others."""
    from experiments.equivalence import verdicts

    return verdicts(runs)


def limits(runs: Sequence[Run]) -> str:
    """What limits these runs, from the one with the most ranks."""
    from experiments.sentences import limits_line

    largest = max(runs, key=lambda run: run.summary["processes"])
    return limits_line(largest.summary, largest.env)


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=120)


def show(runs: Sequence[Run]) -> None:
    """The table for people, on standard output."""
    from experiments.tables import runs_table

    screen = console()
    screen.print(runs_table(runs, verdicts(runs), width=screen.width))
    screen.print(f"\nlimits: {limits(runs)}")


def compared(runs: Sequence[Run], verdict: Sequence[Any]) -> dict[str, Any]:
    """Runs and verdicts as JSON values."""
    return {
        "comparable": True,
        "limits": limits(runs),
        "runs": [
            {**run.summary, "verdict": one.kind, "deviation": one.deviation}
            for run, one in zip(runs, verdict, strict=True)
        ],
    }


def check(verdict: Sequence[Any]) -> int:
    """3 if a run that should have computed the same as the others did not."""
    return 3 if any(one.same is False for one in verdict) else 0
