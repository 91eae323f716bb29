"""Runs beside each other, as a verb shows them: which may be compared, the table, the check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.errors import CheckFailed
from experiments.results import Run
from experiments.verbs.speech import say


def comparable(paths: Sequence[str]) -> list[Run]:
    """The finished runs in `paths`, if they did the same work; the others are named and left out."""
    from experiments.comparison import compare_runs
    from experiments.results import find_runs

    runs = []
    for run in find_runs(paths):
        if run.status == "ok":
            runs.append(run)
        else:
            say(f"left out: {run.path} ({run.status} after {run.summary.get('steps_done')} steps)")
    if not runs:
        raise CheckFailed("nothing to show: no run came to its end")
    if why := compare_runs(runs).refusal:
        raise CheckFailed(f"cannot compare: {why}")
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


def show(runs: Sequence[Run]) -> None:
    """The table for people, on standard output."""
    from rich.console import Console

    from experiments.tables import runs_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(runs_table(runs, verdicts(runs), width=console.width))
    console.print(f"\nlimits: {limits(runs)}")


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
