"""The verb `plot`: charts of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import CheckFailed
from experiments.cli.compare import read_loss
from experiments.cli.output import dump, say
from experiments.config.arguments import InputOptions
from experiments.config.option import option
from experiments.runs.files import unwritable, writable_folder

if TYPE_CHECKING:
    from experiments.charts import Plotted


@dataclass(frozen=True, kw_only=True)
class Options(InputOptions):
    """Draw every chart that the runs have data for, and say why the others are not drawn. See docs/charts.md."""

    out: str | None = option(None, "folder for the charts; null: plots/ in the first of the runs")
    loss: float | str | None = option(
        None, "measure the time to this loss; null: a loss that most reached", read=read_loss
    )


def run(options: Options) -> int:
    """Draw charts of existing runs, whether they can be compared or not. Raises ConfigError, CheckFailed."""
    from experiments.comparison.load import compare_paths, merged_sweeps

    comparison = compare_paths(options.runs)
    if not comparison.contests:
        raise CheckFailed("nothing to show: no run came to its end")
    first = Path(options.runs[0])
    home = first if first.is_dir() else comparison.contests[0].entries[0].run.path.parent
    out = writable_folder(options.out or home / "plots", "--out")
    from experiments.charts import ChartData, plot_all
    from experiments.comparison.predictions import unreadable_calibrations
    from experiments.comparison.render import limits

    for line in [*merged_sweeps(comparison), *unreadable_calibrations(comparison)]:
        say(f"warning: {line}")
    goal = None if isinstance(options.loss, str) else options.loss
    try:
        plotted = plot_all(ChartData(comparison, limits(comparison), goal), out)
    except OSError as error:
        raise unwritable(out, error, "--out") from None
    if options.json:
        _dump(plotted)
        return 0
    for name, why in plotted.absent.items():
        say(f"not drawn: {name}: {why}")
    print("\n".join(str(file) for each in plotted.pictures for file in each.files))
    return 0


def _dump(plotted: Plotted) -> None:
    charts = [
        {"name": each.name, "title": each.title, "files": list(map(str, each.files)), "note": each.note}
        for each in plotted.pictures
    ]
    files = [file for chart in charts for file in chart["files"]]
    dump({"schema": 1, "plots": files, "charts": charts, "not_drawn": dict(plotted.absent)})
