"""Doing a sweep: cell after cell in their turns, each noted when it has ended, whatever became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from experiments.sweep.estimate import Forecast, duration
from experiments.sweep.grid import Cell
from experiments.sweep.journal import Journal, Line
from experiments.sweep.run_order import Turn

if TYPE_CHECKING:
    from experiments.launch.agent import Agent
    from experiments.runs.run import Run


class Execute(Protocol):
    """Runs a cell under a title; blocks. Raises experiments.runs.execute.RunFailed, KeyboardInterrupt, ConfigError."""

    def __call__(self, cell: Cell, title: str) -> Run: ...


def conduct(
    turns: Sequence[Turn],
    journal: Journal,
    execute: Execute,
    forecast: Forecast,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run all `turns` that the journal does not have; blocks for as long as that takes.

    A run that fails is noted with its error, and the next one starts. KeyboardInterrupt, and errors that the next run
    would meet too (no room for results), end the sweep; it can go on later.
    """
    from experiments.runs.execute import RunFailed

    for line in journal.lines.values():
        forecast.learn(line.cell, line.seconds)
    for number, (cell, repeat) in enumerate(turns):
        if (cell.id, repeat) in journal.lines:
            continue
        rest = [turn for turn in turns[number:] if (turn[0].id, turn[1]) not in journal.lines]
        title = f"[{number + 1}/{len(turns)}, about {duration(forecast.left(rest))} left] {cell.about}"
        began, error = clock(), None
        try:
            run = execute(cell, title)
        except RunFailed as failure:
            run, error = failure.run, " ".join(str(failure).split())
            say(f"failed: {cell.about}, repeat {repeat}: {error}")
        seconds = round(clock() - began, 3)
        journal.add(Line(cell.id, repeat, "failed" if error else "ok", run.path.name, error, seconds))
        forecast.learn(cell.id, seconds)


class Executor:
    """Runs cells for real, in new folders inside `folder`. A context manager: it keeps an agent from cell to cell.

    The agent is started at once, for ranks with so many `threads`, so that no cell pays for it.
    Another agent is started where the next cell's ranks have another number of threads, and after a run that failed,
    since that may have been the agent's fork server.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._agent: Agent | None = None

    def __enter__(self) -> Executor:
        self._fitting(self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dismiss()

    def __call__(self, cell: Cell, title: str) -> Run:
        """Blocks until the run has ended; its progress goes to standard error. See `Execute`."""
        from experiments.runs.execute import RunFailed, execute
        from experiments.runs.progress import Progress

        job = cell.plan.job
        agent = self._fitting(job.threads)
        try:
            with Progress(title, job.steps, job.workers) as progress:
                return execute(cell.plan, agent, self._folder, progress.update)
        except RunFailed:
            self._dismiss()
            raise

    def _fitting(self, threads: int) -> Agent:
        from experiments.launch.agent import Agent

        if self._agent is not None and self._agent.threads != threads:
            self._dismiss()
        if self._agent is None:
            agent = Agent(threads)
            agent.__enter__()
            self._agent = agent
        return self._agent

    def _dismiss(self) -> None:
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.__exit__(None, None, None)
