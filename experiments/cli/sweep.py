"""The verb `sweep`: a grid of runs, from a file or flags, in turns; stopped, it can go on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed, ConfigError
from experiments.cli import run as run_verb
from experiments.cli.output import dump, say
from experiments.cli.showing import console
from experiments.config.arguments import plain_parser
from experiments.runs.files import unwritable, without_advice, writable_folder

if TYPE_CHECKING:
    from experiments.sweep.grid import Grid
    from experiments.sweep.journal import Journal
    from experiments.sweep.spec import Sweep

HELP = "a grid of runs, from a file or flags, each several times in turns"
NOT_SWEPT = frozenset({"help", "json", "config", "print_config", "strategy", "strategy_options", "results"})
SWITCHES = {
    "ceiling": "whether noop, training without synchronisation, is among the contestants",
    "yardstick": "whether single, one process on the whole batch, is among the contestants",
    "calibrate": "whether the transports are measured first, for predictions",
}


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Run every strategy with every combination of settings, several times in turns. A setting with several values, "
        "like --workers 1,2,4, is an axis; where values have commas of their own (--hidden), repeat the flag. Flags "
        "take the place of what the file says. Exit code 1 if a run failed. See docs/sweeps.md."
    )
    parser.add_argument("file", nargs="?", type=str, default=None, help="a sweep file, or the name of a ready one")
    parser.add_argument("--strategies", type=str, action="append", default=None, help="names of `list`, with commas")
    parser.add_argument("--repeats", type=str | None, default=None, help="how often each cell runs, in turns")
    parser.add_argument("--name", type=str | None, default=None, help="of the sweep, for its folder")
    for name, about in SWITCHES.items():
        parser.add_argument(f"--{name}", type=str | None, default=None, help=f"true or false: {about}")
    parser.add_argument("--quick", action="store_true", help="as small as the file's `quick` says, else few steps")
    parser.add_argument("--dry-run", action="store_true", help="show the grid and how long it will take")
    # jsonargparse gives an option of this name a "=", so it has a value, which is empty
    parser.add_argument("--print_config", type=str, nargs="?", help="print the sweep with everything filled in")
    parser.add_argument("--resume", type=str | None, default=None, help="folder of a sweep that was stopped: go on")
    parser.add_argument("--results", type=str, default="results", help="folder for results")
    _settings(parser.add_argument_group("settings of the runs, one value or several"))
    return parser


def _settings(group: Any) -> None:
    """Whatever `run` can be asked for, any number of times; a switch also with true or false."""
    for action in run_verb.parser()._actions:
        if action.dest not in NOT_SWEPT:
            alone = {"nargs": "?", "const": "true"} if action.nargs == 0 else {}
            group.add_argument(
                *action.option_strings, type=str, action="append", default=None, help=action.help, **alone
            )


def run(arguments: Namespace) -> int:
    """The grid (--dry-run), the file (--print_config), or the sweep itself. Raises ConfigError, KeyboardInterrupt."""
    from experiments.sweep.grid import make_grid

    sweep = _asked(arguments)
    if arguments.print_config is not None:
        print(sweep.to_yaml(), end="")
        return 0
    grid = make_grid(sweep)
    if arguments.dry_run:
        return _plan(sweep, grid, arguments)
    return _go(sweep, grid, arguments)


def _asked(arguments: Namespace) -> Sweep:
    """The sweep that the command line asks for."""
    from experiments.sweep.folder import reopen
    from experiments.sweep.parse import read, shortened
    from experiments.sweep.yaml_files import find, load, ready

    flags = _flags(arguments)
    if arguments.resume is not None:
        if other := [*([arguments.file] if arguments.file else []), *flags, *(["quick"] if arguments.quick else [])]:
            raise ConfigError(f"--resume goes on with what {arguments.resume} has begun: leave {other[0]} out")
        return reopen(Path(arguments.resume))
    if arguments.file is None:
        if "strategies" not in flags:
            raise ConfigError(f"give a sweep file, a ready sweep ({', '.join(ready())}), or --strategies ring,ps-bsp")
        return read({}, flags, quick=shortened(flags, "--") if arguments.quick else None)
    path = find(arguments.file)
    raw, where = load(path), f"{path}: "
    return read(raw, flags, quick=shortened(raw, where) if arguments.quick else None, where=where, name=path.stem)


def _flags(arguments: Namespace) -> dict[str, Any]:
    """What was given as flags, as a file would have it."""
    from experiments.sweep.parse import PLAIN
    from experiments.sweep.value_types import ONE_EACH, run_keys

    given = {key: vars(arguments).get(key) for key in ("strategies", *PLAIN, *run_keys())}
    flags = {key: value for key, value in given.items() if value is not None}
    for key, value in flags.items():
        if isinstance(value, list) and key not in ONE_EACH:
            flags[key] = [part.strip() for each in value for part in each.split(",")]
    return flags


def _plan(sweep: Sweep, grid: Grid, arguments: Namespace) -> int:
    """Show what would be done, of a sweep that was begun what is left; starts nothing, changes nothing."""
    from experiments.sweep.estimate import Forecast, seconds_by_cell
    from experiments.sweep.folder import check_cells
    from experiments.sweep.journal import finished
    from experiments.sweep.render import document, grid_table, headline, remarks, what_is_left

    folder = None if arguments.resume is None else Path(arguments.resume)
    lines = [] if folder is None else list(finished(folder))
    done = {(line.cell, line.repeat): line for line in lines}
    if folder is not None:
        check_cells(done, grid, folder)
    forecast = Forecast(seconds_by_cell(grid.cells))
    for line in lines:
        forecast.learn(line.cell, line.seconds)
    seconds = {cell.id: forecast.left([(cell, 1)]) for cell in grid.cells}
    if arguments.json:
        dump(document(sweep, grid, seconds, lines, folder))
        return 0
    shown = console()
    if sweep.question:
        shown.print(sweep.question)
    if (table := grid_table(grid, seconds, sweep.repeats, done)).row_count:
        shown.print(table)
    told = [headline(sweep, grid, seconds), *([] if folder is None else [what_is_left(sweep, grid, seconds, done)])]
    for text in [*remarks(sweep, grid), *told]:
        print(text)
    return 0


def _go(sweep: Sweep, grid: Grid, arguments: Namespace) -> int:
    """Run what is to be run; 1 if a run failed. Blocks."""
    from experiments.sweep.estimate import seconds_by_cell
    from experiments.sweep.folder import begin
    from experiments.sweep.journal import Journal
    from experiments.sweep.render import document, failures, next_steps

    results = writable_folder(arguments.results) if arguments.resume is None else _begun(arguments.resume)
    with ExitStack() as held:  # what is wrong with the data is known before there is a folder
        before = held.enter_context(Journal(results)) if arguments.resume is not None else None
        seconds = seconds_by_cell(grid.cells)
        journal = before or held.enter_context(Journal(begin(results, sweep)))
        if before is not None:
            _say_resumed(journal, grid, sweep)
        _conduct(sweep, grid, journal, seconds)
    lines, folder = list(journal.lines.values()), journal.folder
    if arguments.json:
        dump(document(sweep, grid, seconds, lines, folder))
    else:
        _compare(folder)
        print("\n".join(next_steps(folder)))
    failed = failures(grid, lines)
    for text in failed:
        say(f"syncbench: {text}")
    return 1 if failed else 0


def _begun(resume: str) -> Path:
    """The folder to go on in. ConfigError if nothing can be written there, which no --results would mend."""
    try:
        return writable_folder(resume)
    except ConfigError as error:
        raise ConfigError(f"--resume {resume}: {without_advice(error)}") from None


def _compare(folder: Path) -> None:
    """What `syncbench compare` says of it, with a stamp on what cannot be compared; a line, if that is everything."""
    from experiments.cli import compare

    try:
        compare.run(compare.parser().parse_args([str(folder), "--anyway"]))
    except (CheckFailed, ConfigError) as refusal:
        say(f"no comparison: {refusal}")


def _conduct(sweep: Sweep, grid: Grid, journal: Journal, seconds: Mapping[str, float]) -> None:
    from experiments.sweep.calibration import calibrate
    from experiments.sweep.estimate import Forecast
    from experiments.sweep.render import headline, remarks
    from experiments.sweep.run_order import turns
    from experiments.sweep.runner import Executor, conduct

    for line in [headline(sweep, grid, seconds), *remarks(sweep, grid)]:
        say(line)
    order = turns(grid.cells, sweep.repeats)
    again = f"go on with: syncbench sweep --resume {journal.folder}"
    try:
        if sweep.calibrate:
            calibrate(journal.folder, grid.cells, say)
        if all((cell.id, repeat) in journal.lines for cell, repeat in order):
            return
        with Executor(journal.folder, order[0][0].plan.job.threads) as execute:
            conduct(order, journal, execute, Forecast(seconds), say)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(again)
        raise
    except (ConfigError, OSError) as error:
        wrong = unwritable(journal.folder, error) if isinstance(error, OSError) else error
        raise ConfigError(f"{without_advice(wrong)}; then {again}") from None


def _say_resumed(journal: Journal, grid: Grid, sweep: Sweep) -> None:
    from experiments.sweep.folder import changes, check_cells

    check_cells(journal.lines, grid, journal.folder)
    for folder in journal.set_aside():
        say(f"set aside: {folder.name}, which was not finished, is now in {folder.parent}")
    if changed := changes(journal.folder, sweep):
        say(f"warning: this sweep began on another machine or with other versions: {changed}")
    say(f"done before: {len(journal.lines)} of {len(grid.cells) * sweep.repeats} runs")
