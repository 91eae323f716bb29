"""The verb `sweep`: a grid of runs, from a file or flags, in turns; a sweep that was stopped can be resumed."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import CheckFailed, ConfigError
from experiments.cli.output import dump, say, show
from experiments.config.argument_parser import OutputOptions
from experiments.config.declaration import Option, option
from experiments.runs.files import writable_folder
from experiments.sweep import render
from experiments.sweep.estimate import Forecast, seconds_by_cell
from experiments.sweep.folder import Journal, begin, changes, check_cells, finished, reopen
from experiments.sweep.grid import Grid, make_grid
from experiments.sweep.parse import read_given, ready
from experiments.sweep.spec import RUN_SETTINGS, SWEEP_SETTINGS, Sweep


def _flags_of(title: str, settings: Mapping[str, Option]) -> Any:
    """Return a dataclass with each setting as a flag: its text, any number of times. A switch alone means true."""
    fields = []
    for name, setting in settings.items():
        switch = "?" if setting.type is bool else ""
        flag = option((), setting.help, unit=setting.unit, read=str, repeated=True, nargs=switch)
        fields.append((name, tuple[str, ...], flag))
    return dataclasses.make_dataclass("Flags", fields, frozen=True, kw_only=True, namespace={"__doc__": title})


@dataclass(frozen=True, kw_only=True)
class SweepOptions(OutputOptions):
    """Run every strategy with every combination of settings, several times in turns.

    A setting with several values, like --workers 1,2,4, is an axis. If values have commas of their own (--hidden),
    repeat the flag. Flags replace what the file says. Exit code 1 if a run failed. See docs/sweeps.md.
    """

    file: str | None = option(None, "a sweep file, or the name of a ready sweep", positional=True, nargs="?")
    strategies: tuple[str, ...] = option((), "names of `list`, with commas", read=str, repeated=True)
    quick: bool = option(False, "as small as the file's `quick` says, else few steps and repeats")
    dry_run: bool = option(False, "show the grid and how long it will take")
    print_config: str | None = option(
        None, "print the sweep with everything filled in", flag="--print_config", nargs="?"
    )
    resume: str | None = option(None, "folder of a stopped sweep, which is to continue")


@dataclass(frozen=True, kw_only=True)
class Options(
    _flags_of("settings of the runs, one value or several", RUN_SETTINGS),  # type: ignore[misc]
    _flags_of("settings of the sweep", SWEEP_SETTINGS),  # type: ignore[misc]
    SweepOptions,
):
    __doc__ = SweepOptions.__doc__


def run(options: Options) -> int:
    """Show the grid (--dry-run) or file (--print_config), or run the sweep; 1 if a run failed. ConfigError."""
    sweep = _asked(options)
    if options.print_config is not None:
        print(sweep.to_yaml(), end="")
        return 0
    grid = make_grid(sweep)
    return _show_plan(sweep, grid, options) if options.dry_run else _run_all(sweep, grid, options)


def _asked(options: Options) -> Sweep:
    """Return the sweep that the command line asks for."""
    flags = _given_flags(options)
    if options.resume is not None:
        if other := [*([options.file] if options.file else []), *flags, *(["quick"] if options.quick else [])]:
            raise ConfigError(f"--resume goes on with what {options.resume} has begun: leave {other[0]} out")
        return reopen(Path(options.resume))
    if options.file is None and "strategies" not in flags:
        raise ConfigError(f"give a sweep file, a ready sweep ({', '.join(ready())}), or --strategies ring,ps-bsp")
    return read_given(options.file, flags, options.quick)


def _given_flags(options: Options) -> dict[str, Any]:
    """Return the settings that were given as flags, as a file would have them."""
    flags: dict[str, Any] = {}
    for name in ("strategies", *SWEEP_SETTINGS, *RUN_SETTINGS):
        if not (given := getattr(options, name)):
            continue
        if name in SWEEP_SETTINGS:
            flags[name] = given[-1]
        elif name in RUN_SETTINGS and RUN_SETTINGS[name].has_commas:
            flags[name] = list(given)
        else:
            flags[name] = [part.strip() for each in given for part in each.split(",")]
    return flags


def _show_plan(sweep: Sweep, grid: Grid, options: Options) -> int:
    """Show the grid, of a resumed sweep the part that is left. Starts and changes nothing."""
    folder = None if options.resume is None else Path(options.resume)
    entries = list(finished(folder)) if folder else []
    done = {(entry.cell, entry.repeat) for entry in entries}
    if folder:
        check_cells(done, grid, folder)
    forecast = Forecast(seconds_by_cell(grid.cells))
    for entry in entries:
        forecast.learn(entry.cell, entry.seconds)
    seconds = {cell.id: forecast.left([(cell, 1)]) for cell in grid.cells}
    if options.json:
        dump(render.document(sweep, grid, seconds, entries, folder))
        return 0
    runs = render.runs_left(sweep, grid, done)
    table = render.grid_table(grid, seconds, sweep.repeats, runs)
    show(*filter(None, [sweep.question]), *([table] if table.rows else []))
    left = [render.what_is_left(sweep, seconds, runs)] if folder else []
    print("\n".join([*render.remarks(sweep, grid), render.headline(sweep, grid, seconds), *left]))
    return 0


def _run_all(sweep: Sweep, grid: Grid, options: Options) -> int:
    """Run all cells that have not run yet; return 1 if a run failed. Blocks."""
    from experiments.cli import compare  # late, both: --help needs neither rich nor zmq
    from experiments.sweep.runner import run_cells

    resumed = options.resume is not None
    home = writable_folder(options.resume, "") if resumed else writable_folder(options.results)
    seconds = {} if resumed else seconds_by_cell(grid.cells)  # a mistake in the data is found before a folder is made
    with Journal(home if resumed else begin(home, sweep)) as journal:
        if resumed:
            _say_resumed(journal, grid, sweep)
            seconds = seconds_by_cell(grid.cells)
        run_cells(sweep, grid, journal, seconds, say)
    entries, folder = list(journal.entries.values()), journal.folder
    if options.json:
        dump(render.document(sweep, grid, seconds, entries, folder))
    else:
        try:
            compare.run(compare.Options(runs=[str(folder)], anyway=True))
        except (CheckFailed, ConfigError) as refusal:
            say(f"no comparison: {refusal}")
        print("\n".join(render.next_steps(folder)))
    failed = render.failures(grid, entries)
    for text in failed:
        say(f"syncbench: {text}")
    return 1 if failed else 0


def _say_resumed(journal: Journal, grid: Grid, sweep: Sweep) -> None:
    check_cells(journal.entries, grid, journal.folder)
    for folder in journal.set_aside():
        say(f"set aside: {folder.name}, which was not finished, is now in {folder.parent}")
    if changed := changes(journal.folder, sweep):
        say(f"warning: this sweep began on another machine or with other versions: {changed}")
    say(f"done before: {len(journal.entries)} of {len(grid.cells) * sweep.repeats} runs")
