"""The verb `plot`: charts of runs."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import CheckFailed
from experiments.cli.compare import read_loss
from experiments.cli.output import dump, say
from experiments.comparison.load import compare_paths
from experiments.comparison.render import limits
from experiments.config.argument_parser import InputOptions
from experiments.config.declaration import option
from experiments.runs.files import writable_folder, writing


@dataclass(frozen=True, kw_only=True)
class Options(InputOptions):
    """Draw every chart that the runs have data for, and say why the others are not drawn. See docs/charts.md."""

    out: str | None = option(None, "folder for the charts; null: plots/ in the first of the runs")
    loss: float | str | None = option(
        None, "measure the time to this loss; null: a loss that most reached", read=read_loss
    )


def run(options: Options) -> int:
    """Draw charts of existing runs, whether they can be compared or not. Raises ConfigError, CheckFailed."""
    comparison = compare_paths(options.runs)
    if not comparison.contests:
        raise CheckFailed("nothing to show: no run came to its end")
    first = Path(options.runs[0])
    home = first if first.is_dir() else comparison.contests[0].entries[0].run.path.parent
    out = writable_folder(options.out or home / "plots", "--out")
    from experiments.charts import ChartData, plot_all  # late: matplotlib

    for line in comparison.warnings:
        say(f"warning: {line}")
    goal = None if isinstance(options.loss, str) else options.loss
    with writing(out, "--out"):
        plotted = plot_all(ChartData(comparison, limits(comparison), goal), out)
    files = [str(file) for chart in plotted.pictures for file in chart.files]
    if options.json:
        charts = [
            {"name": chart.name, "title": chart.title, "files": list(map(str, chart.files)), "note": chart.note}
            for chart in plotted.pictures
        ]
        dump({"schema": 1, "plots": files, "charts": charts, "not_drawn": dict(plotted.absent)})
        return 0
    for name, why in plotted.absent.items():
        say(f"not drawn: {name}: {why}")
    print("\n".join(files))
    return 0
