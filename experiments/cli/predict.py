"""The verb `predict`: what an exchange should take, where strategies change places, and how well that holds."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import ConfigError
from experiments.bench.plan import parse_sizes
from experiments.cli.output import dump, say
from experiments.cli.showing import console
from experiments.config.arguments import plain_parser
from experiments.config.checks import at_least_one
from experiments.config.options import counts
from experiments.runs.files import new_folder, unwritable, writable_folder
from experiments.schema.files import write_json

if TYPE_CHECKING:
    from experiments.prediction.cost_model import Calibration, Figures

HELP = "what each strategy's exchange should take, and where they change places"
ABOUT = (
    "Each strategy's exchange by its formula, and by running it in virtual time, from what calibrate measured or on a "
    "link of your choice; where the fastest changes; and, with --against, how far that is from what was measured."
)


def parser() -> ArgumentParser:
    parser = plain_parser(ABOUT)
    parser.add_argument("--strategies", type=str, default="ring,tree,double-tree,ps-bsp", help="names")
    parser.add_argument("--workers", type=str, default="8,64,512,1024,4096", help="numbers of workers, with commas")
    parser.add_argument("--servers", type=int, default=1, help="of strategies that have servers")
    parser.add_argument("--sizes", type=str, default="4KiB,64KiB,1MiB,4MiB,25MiB,100MiB", help="of the vector")
    parser.add_argument("--calibration", type=str | None, default=None, help="file; null: the newest in --results")
    parser.add_argument("--transport", type=str | None, default=None, help="which one of the calibration")
    parser.add_argument("--link", type=str | None, default=None, help="instead of a calibration, like 1gbit,50us")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for simulations; 0: none")
    parser.add_argument(
        "--against",
        type=str,
        nargs="+",
        default=None,
        help="results to hold predictions against: bench.json, its folder, runs, sweeps",
    )
    parser.add_argument("--results", type=str, default="results", help="folder for results")
    return parser


def run(arguments: Namespace) -> int:
    """Tables, sentences and a chart, or JSON."""
    if not arguments.budget >= 0:
        raise ConfigError(f"--budget is {arguments.budget:g}: give seconds from 0")
    if arguments.link is not None and (arguments.calibration or arguments.against or arguments.transport):
        raise ConfigError("--link is instead of a calibration: leave --calibration, --transport and --against out")
    return _against(arguments) if arguments.against else _ahead(arguments)


def _calibration(arguments: Namespace) -> Calibration:
    """The one that was asked for, that is kept with the results, or that is the newest. ConfigError."""
    from experiments.prediction.calibration_file import calibration_beside, newest_calibration, read_calibration
    from experiments.prediction.cost_model import Calibration, constant, parse_link

    if arguments.link is not None:
        return Calibration((constant(parse_link(arguments.link), words=arguments.link),), name=arguments.link)
    kept = (file for path in arguments.against or [] if (file := calibration_beside(Path(path))))
    return read_calibration(arguments.calibration or next(kept, None) or newest_calibration(arguments.results))


def _against(arguments: Namespace) -> int:
    from experiments.comparison.predictions import residuals
    from experiments.prediction.residuals import median_error
    from experiments.prediction.tables import error_line, residual_table

    for path in arguments.against:
        if not Path(path).exists() and not glob.glob(path):
            raise ConfigError(f"--against {path}: there is no such file or folder")
    calibration = _calibration(arguments)
    rows, notes = residuals(arguments.against, calibration, arguments.budget)
    values: dict[str, Any] = {
        "rows": [row.to_dict() for row in rows],
        "median_error": median_error(rows),
        "sentence": error_line(rows),
    }
    if not arguments.json:
        console().print(residual_table(rows))
        print(f"\n{error_line(rows)}")
        for source in dict.fromkeys(row.source for row in rows):
            print(f"measured: {source}")
    from experiments.charts.predictions import plot_beside

    return _keep(arguments, calibration, values, notes, lambda folder: plot_beside(rows, error_line(rows), folder))


def _ahead(arguments: Namespace) -> int:
    strategies = [name for part in arguments.strategies.split(",") if (name := part.strip())]
    if not strategies:
        raise ConfigError("--strategies is empty: give at least one, with commas between them")
    workers, sizes = counts("workers", arguments.workers), parse_sizes(arguments.sizes)
    at_least_one("servers", arguments.servers)
    from experiments.prediction.batch import by_formulas, relaxed, simulated
    from experiments.prediction.crossovers import fastest_ranges, sentence
    from experiments.prediction.tables import grid_tables

    calibration = _calibration(arguments)
    figures, notes = _figures(calibration, arguments.transport, workers)
    cells = by_formulas(strategies, workers, arguments.servers, sizes, figures)
    cells, without = simulated(cells, figures, arguments.budget)
    found = {
        count: fastest_ranges(strategies, count, arguments.servers, sizes[0], sizes[-1], figures[count])
        for count in workers
    }
    said = [sentence(strategies, count, arguments.servers, found[count], figures[count]) for count in workers]
    if apart := relaxed(strategies):
        notes.append(
            f"{', '.join(apart)}: as if all workers began at once and waited for each other, which they do not"
        )
    if without:
        notes.append(f"{without} of {len(cells)} not simulated: none to simulate, too large, or beyond --budget")
    if not arguments.json:
        for table in grid_tables(cells):
            console().print(table)
            print()
        print("\n".join(said))
    values: dict[str, Any] = {
        "rows": [cell.to_dict() for cell in cells],
        "crossovers": {str(count): [each.to_dict() for each in found[count]] for count in workers},
        "sentences": said,
    }
    from experiments.charts.predictions import plot_ahead

    return _keep(arguments, calibration, values, notes, lambda folder: plot_ahead(cells, found, figures, folder))


def _figures(
    calibration: Calibration, transport: str | None, workers: Sequence[int]
) -> tuple[dict[int, Figures], list[str]]:
    """The figures for each number of workers, and a word where they are another's. ConfigError."""
    found: dict[int, Figures] = {}
    others: dict[tuple[int, str], list[int]] = {}
    for count in workers:
        found[count], word = calibration.nearest(transport, count)
        if word:
            others.setdefault((found[count].workers, found[count].transport), []).append(count)
    notes = [
        f"{', '.join(map(str, many))} workers: from figures measured with {few} over {name}, as if more cost no more"
        for (few, name), many in others.items()
    ]
    return found, notes


def _keep(arguments: Namespace, calibration: Calibration, values: dict[str, Any], notes: list[str], draw: Any) -> int:
    """A folder with predict.json and the chart; says where. What was computed holds even if that fails."""
    from experiments.prediction.calibration_file import document

    writable_folder(arguments.results)
    try:
        folder = new_folder(Path(arguments.results), "predict")
        whole = {"schema": 1, "calibration": calibration.name, **document(calibration), **values, "notes": notes}
        whole["results_dir"] = str(folder)
        write_json(folder / "predict.json", whole)
        draw(folder / "plots")
    except OSError as error:
        raise unwritable(Path(arguments.results), error) from None
    if arguments.json:
        dump(whole)
    for note in notes:
        say(f"note: {note}")
    if not arguments.json:
        print(f"from:    {calibration.name}")
        print(f"results: {folder}")
    return 0
