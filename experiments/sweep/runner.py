"""Run a sweep: one cell after the other in their turns; each is noted in the journal when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from common.errors import ConfigError
from experiments.runs.files import without_advice, writing
from experiments.schema.records import JournalEntry
from experiments.sweep.calibration import calibrate
from experiments.sweep.estimate import Forecast, duration
from experiments.sweep.grid import Cell, Grid
from experiments.sweep.journal import Journal
from experiments.sweep.render import headline, remarks
from experiments.sweep.run_order import Turn, turns
from experiments.sweep.spec import Sweep

if TYPE_CHECKING:
    from experiments.launch.agent import Agent
    from experiments.runs.run import Run


# Runs a cell under a title. Blocks. Raises experiments.runs.execute.RunFailed, KeyboardInterrupt, ConfigError.
Execute: TypeAlias = "Callable[[Cell, str], Run]"


def conduct(
    order: Sequence[Turn],
    journal: Journal,
    execute: Execute,
    forecast: Forecast,
    say: Callable[[str], None],
) -> None:
    """Run all turns of `order` that the journal does not have. Blocks.

    A run that fails is noted with its error, and the next one starts. KeyboardInterrupt, and errors that the next run
    would meet too (no room for results), end the sweep, which can be resumed later.
    """
    from experiments.runs.execute import RunFailed

    for entry in journal.entries.values():
        forecast.learn(entry.cell, entry.seconds)
    for number, (cell, repeat) in enumerate(order):
        if (cell.id, repeat) in journal.entries:
            continue
        rest = [turn for turn in order[number:] if (turn[0].id, turn[1]) not in journal.entries]
        title = f"[{number + 1}/{len(order)}, about {duration(forecast.left(rest))} left] {cell.about}"
        began, error = time.monotonic(), None
        try:
            run = execute(cell, title)
        except RunFailed as failure:
            run, error = failure.run, " ".join(str(failure).split())
            say(f"failed: {cell.about}, repeat {repeat}: {error}")
        seconds = round(time.monotonic() - began, 3)
        journal.add(
            JournalEntry(
                cell=cell.id,
                repeat=repeat,
                status="failed" if error else "ok",
                folder=run.path.name,
                error=error,
                seconds=seconds,
            )
        )
        forecast.learn(cell.id, seconds)


def run_cells(
    sweep: Sweep, grid: Grid, journal: Journal, seconds: Mapping[str, float], say: Callable[[str], None]
) -> None:
    """Measure the transports if the sweep wants it, then run all its cells that the journal does not have. Blocks.

    `seconds` is the forecast of each cell. A KeyboardInterrupt or ConfigError that ends it says how to resume it.
    """
    for line in [headline(sweep, grid, seconds), *remarks(sweep, grid)]:
        say(line)
    order = turns(grid.cells, sweep.repeats)
    again = f"go on with: syncbench sweep --resume {journal.folder}"
    try:
        with writing(journal.folder):
            if sweep.calibrate:
                calibrate(journal.folder, grid.cells, say)
            if all((cell.id, repeat) in journal.entries for cell, repeat in order):
                return
            with Executor(journal.folder, order[0][0].plan.job.threads) as execute:
                conduct(order, journal, execute, Forecast(seconds), say)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(again)
        raise
    except ConfigError as error:
        raise ConfigError(f"{without_advice(error)}; then {again}") from None


class Executor:
    """Runs cells in new folders inside `folder`. A context manager: it keeps an agent from cell to cell.

    The agent is started at once, for ranks with so many `threads`, so that no cell pays for it. Another agent is
    started if the next cell's ranks have another number of threads, and after a run that failed, because the agent's
    fork server may be the cause.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._held = ExitStack()  # the agent
        self._agent: Agent | None = None

    def __enter__(self) -> Executor:
        self._start(self._threads)
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss()

    def __call__(self, cell: Cell, title: str) -> Run:
        """Run one cell; its progress goes to standard error. See `Execute`."""
        from experiments.runs.execute import RunFailed, execute
        from experiments.runs.progress import Progress

        job = cell.plan.job
        if self._agent is not None and self._agent.threads != job.threads:
            self._dismiss()
        agent = self._agent or self._start(job.threads)
        try:
            with Progress(title, job.steps, job.workers) as progress:
                return execute(cell.plan, agent, self._folder, progress.update)
        except RunFailed:
            self._dismiss()
            raise

    def _start(self, threads: int) -> Agent:
        from experiments.launch.agent import Agent

        self._agent = self._held.enter_context(Agent(threads))
        return self._agent

    def _dismiss(self) -> None:
        self._agent = None
        self._held.close()
