"""Run a sweep: one cell after the other in their turns; each is noted in the journal when it has ended."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import ConfigError, RunError
from common.runtime.job import TRANSPORTS
from experiments.launch.agent import Agent
from experiments.prediction.calibrate import calibrate_all, plan_calibration
from experiments.prediction.calibration_file import NAME, write_calibration
from experiments.runs.execute import RunFailed, execute
from experiments.runs.files import writing
from experiments.runs.progress import Progress
from experiments.runs.run import Run
from experiments.schema.records import JournalEntry
from experiments.sweep.estimate import Forecast, duration
from experiments.sweep.folder import Journal
from experiments.sweep.grid import Cell, Grid, Turn, turns
from experiments.sweep.render import headline, remarks
from experiments.sweep.spec import CEILING, Sweep

Execute = Callable[[Cell, str], Run]  # a cell under a title. Blocks. Raises RunFailed, KeyboardInterrupt, ConfigError


def conduct(
    order: Sequence[Turn], journal: Journal, execute: Execute, forecast: Forecast, say: Callable[[str], None]
) -> None:
    """Run the turns not in the journal; failed runs are noted. Blocks. Errors of every run end it: resume it later."""
    for entry in journal.entries.values():
        forecast.learn(entry.cell, entry.seconds)
    for number, (cell, repeat) in enumerate(order):
        if (cell.id, repeat) in journal.entries:
            continue
        seconds = forecast.left([turn for turn in order[number:] if (turn[0].id, turn[1]) not in journal.entries])
        title = f"[{number + 1}/{len(order)}, about {duration(seconds)} left] {cell.about}"
        began, error = time.monotonic(), None
        try:
            run = execute(cell, title)
        except RunFailed as failure:
            run, error = failure.run, " ".join(str(failure).split())
            say(f"failed: {cell.about}, repeat {repeat}: {error}")
        entry = JournalEntry(
            cell=cell.id,
            repeat=repeat,
            status="failed" if error else "ok",
            folder=run.path.name,
            error=error,
            seconds=round(time.monotonic() - began, 3),
        )
        journal.add(entry)
        forecast.learn(entry.cell, entry.seconds)


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
        with writing(journal.folder, ""):
            if sweep.calibrate:
                calibrate(journal.folder, grid.cells, say)
            if all((cell.id, repeat) in journal.entries for cell, repeat in order):
                return
            with executor(journal.folder, order[0][0].plan.job.threads) as execute:
                conduct(order, journal, execute, Forecast(seconds), say)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(again)
        raise
    except ConfigError as error:
        raise ConfigError(f"{error}; then {again}") from None


@contextmanager
def executor(folder: Path, threads: int) -> Iterator[Execute]:
    """Start an agent, and give a function that runs cells in new folders inside `folder`, with progress shown.

    Another agent is started for ranks with another number of threads, and after a run that failed.
    """
    with ExitStack() as held:
        agent: Agent | None = held.enter_context(Agent(threads))

        def run(cell: Cell, title: str) -> Run:
            nonlocal agent
            job = cell.plan.job
            if agent is None or agent.threads != job.threads:
                held.close()
                agent = held.enter_context(Agent(job.threads))
            try:
                with Progress(title, job.steps, job.workers) as progress:
                    return execute(cell.plan, agent, folder, progress.update)
            except RunFailed:
                agent = None
                raise

        yield run


def calibrate(folder: Path, cells: Sequence[Cell], say: Callable[[str], None]) -> None:
    """Measure each transport with each number of workers of these cells, unless that was done before. Blocks.

    If a transport cannot be measured, a line says so, and the sweep runs without.
    """
    asked = pairs(cells)
    if not asked or (folder / NAME).is_file():
        return
    job = cells[0].plan.job
    plans = (plan_calibration([name], [count], job.interface, job.deadline, job.threads) for name, count in asked)
    specs = list(itertools.chain(*plans))
    try:
        found = calibrate_all(specs, lambda spec: say(f"calibrating {spec.transport}, {spec.workers} workers"))
        write_calibration(folder / NAME, found)
    except RunError as error:
        say(f"warning: no predictions, as the transport could not be measured: {error}")


def pairs(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    """Return each transport with each number of workers that exchange data over it, in the order of the cells."""

    def exchanges(cell: Cell) -> bool:
        job, traits = cell.plan.job, cell.plan.traits
        ours = traits.own_transport is None and job.transport in TRANSPORTS
        return ours and job.workers > 1 and not traits.one_process and cell.strategy != CEILING

    return list(dict.fromkeys((cell.plan.job.transport, cell.plan.job.workers) for cell in cells if exchanges(cell)))
