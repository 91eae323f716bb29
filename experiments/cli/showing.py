"""How a verb shows runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.runs.run import Run

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output, 120 columns wide where it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=120)


def show(run: Run) -> None:
    """The table of one run for people, on standard output."""
    from experiments.comparison.equivalence import verdicts
    from experiments.comparison.run_table import runs_table
    from experiments.runs.describe import limits_line

    shown = console()
    shown.print(runs_table([run], verdicts([run]), width=shown.width))
    shown.print(f"\nlimits: {limits_line(run.summary, run.env)}")
