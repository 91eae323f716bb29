"""The verb `predict`: how long an exchange should take, where the fastest strategy changes, and how well that holds."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from common.errors import ConfigError
from experiments.bench.plan import parse_sizes
from experiments.cli.output import dump, say, show
from experiments.comparison.predictions import residuals
from experiments.config.argument_parser import OutputOptions
from experiments.config.checks import at_least, counts, names, not_negative
from experiments.config.declaration import option
from experiments.prediction.calibration_file import calibration_beside, document, newest_calibration, read_calibration
from experiments.prediction.cost_model import Calibration, Figures, constant, link_terms
from experiments.prediction.crossovers import fastest_ranges, sentence
from experiments.prediction.predict import by_formulas, relaxed, simulated
from experiments.prediction.residuals import median_error
from experiments.prediction.tables import error_line, grid_tables, residual_table
from experiments.runs.files import new_folder, writable_folder, writing
from experiments.schema.files import write_json


@dataclass(frozen=True, kw_only=True)
class Options(OutputOptions):
    """Predict each strategy's exchange by its formula, and by running it in virtual time.

    The figures are those that calibrate measured, or those of a link of your choice. The fastest strategy is named for
    each size. With --against, the predictions stand beside results that were measured.
    """

    strategies: tuple[str, ...] = option(
        names("ring,tree,double-tree,ps-bsp"), "names of `list`, with commas", read=names
    )
    workers: tuple[int, ...] = option(counts("8,64,512,1024,4096"), "numbers of workers, with commas", read=counts)
    servers: int = option(1, "servers of strategies that have servers", check=at_least(1))
    sizes: str = option("4KiB,64KiB,1MiB,4MiB,25MiB,100MiB", "sizes of the vector, with commas")
    calibration: str | None = option(None, "calibration file; null: the newest in --results")
    transport: str | None = option(None, "transport of the calibration")
    link: str | None = option(None, "link in place of a calibration, like 1gbit,50us")
    budget: float = option(20.0, "time for simulations; 0: none", unit="SECONDS", check=not_negative)
    against: list[str] | None = option(
        None, "results to compare predictions with: bench.json, its folder, runs, sweeps", nargs="+"
    )


def run(options: Options) -> int:
    """Show tables, sentences and a chart, or JSON. Raises ConfigError."""
    if options.link is not None and (options.calibration or options.against or options.transport):
        raise ConfigError("--link is instead of a calibration: leave --calibration, --transport and --against out")
    for path in options.against or []:
        if not Path(path).exists() and not glob.glob(path):
            raise ConfigError(f"--against {path}: there is no such file or folder")
    sizes = parse_sizes(options.sizes)
    if options.link is not None:
        calibration = Calibration((constant(link_terms(options.link), words=options.link),), name=options.link)
    else:
        kept = (file for path in options.against or [] if (file := calibration_beside(Path(path))))
        calibration = read_calibration(options.calibration or next(kept, None) or newest_calibration(options.results))
    return _against(options, options.against, calibration) if options.against else _ahead(options, sizes, calibration)


def _against(options: Options, results: Sequence[str], calibration: Calibration) -> int:
    rows, notes = residuals(results, calibration, options.budget)
    title = error_line(rows)
    if not options.json:
        show(residual_table(rows))
        print("\n".join([title, *dict.fromkeys(f"measured: {row.source}" for row in rows)]))
    values = {"rows": [row.to_dict() for row in rows], "median_error": median_error(rows), "sentence": title}
    from experiments.charts.predictions import plot_beside  # late: matplotlib

    return _keep(options, calibration, values, notes, lambda folder: plot_beside(rows, title, folder))


def _ahead(options: Options, sizes: Sequence[int], calibration: Calibration) -> int:
    strategies, workers, servers = options.strategies, options.workers, options.servers
    figures, notes = _figures(calibration, options.transport, workers)
    cells, without = simulated(by_formulas(strategies, workers, servers, sizes, figures), figures, options.budget)
    ends = sizes[0], sizes[-1]
    found = {count: fastest_ranges(strategies, count, servers, *ends, figures[count]) for count in workers}
    said = [sentence(strategies, count, servers, found[count], figures[count]) for count in workers]
    if apart := relaxed(strategies):
        notes.append(
            f"{', '.join(apart)}: as if all workers began at once and waited for each other, which they do not"
        )
    if without:
        notes.append(f"{without} of {len(cells)} not simulated: none to simulate, too large, or beyond --budget")
    if not options.json:
        show(*grid_tables(cells))
        print("\n".join(said))
    values = {
        "rows": to_builtins(cells),
        "crossovers": {str(count): to_builtins(found[count]) for count in workers},
        "sentences": said,
    }
    from experiments.charts.predictions import plot_ahead  # late: matplotlib

    return _keep(options, calibration, values, notes, lambda folder: plot_ahead(cells, found, figures, folder))


def _figures(
    calibration: Calibration, transport: str | None, workers: Sequence[int]
) -> tuple[dict[int, Figures], list[str]]:
    """Return the figures for each number of workers, with notes on those measured with another number. ConfigError."""
    found: dict[int, Figures] = {}
    others: dict[tuple[int, str], list[str]] = {}
    for count in workers:
        found[count], word = calibration.nearest(transport, count)
        if word:
            others.setdefault((found[count].workers, found[count].transport), []).append(str(count))
    return found, [
        f"{', '.join(many)} workers: from figures measured with {few} over {name}, as if more cost no more"
        for (few, name), many in others.items()
    ]


def _keep(options: Options, calibration: Calibration, values: dict[str, Any], notes: list[str], draw: Any) -> int:
    """Write predict.json and the chart, which `draw(folder)` draws, into a new folder; say where."""
    results = writable_folder(options.results)
    with writing(results):
        folder = new_folder(results, "predict")
        about = {"calibration": calibration.name, **document(calibration), "results_dir": str(folder)}
        whole = {"schema": 1, **about, **values, "notes": notes}
        write_json(folder / "predict.json", whole)
        draw(folder / "plots")
    if options.json:
        dump(whole)
    for note in notes:
        say(f"note: {note}")
    if not options.json:
        print(f"from:    {calibration.name}\nresults: {folder}")
    return 0
