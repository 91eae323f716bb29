"""The verb `plot`: charts of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed
from experiments.cli.compare import loss_goal
from experiments.cli.output import dump, say
from experiments.config.arguments import LOSS, plain_parser
from experiments.runs.files import unwritable, writable_folder

if TYPE_CHECKING:
    from experiments.charts import Plotted

HELP = "charts of runs: PNG, SVG, and their numbers as CSV"


def parser() -> ArgumentParser:
    parser = plain_parser("Draw every chart that the runs have data for; say why not the others. See docs/charts.md.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, folders of them, sweeps, or patterns")
    parser.add_argument("--out", type=str | None, default=None, help="folder for them: plots/ in the first one")
    parser.add_argument("--loss", type=LOSS, default=None, help="measure time to it; null: one that most reached")
    return parser


def run(arguments: Namespace) -> int:
    """Pictures of existing runs, whether they can be compared or not. Raises ConfigError, CheckFailed."""
    goal = loss_goal(arguments.loss)
    from experiments.comparison.load import compare_paths, merged_sweeps

    comparison = compare_paths(arguments.runs)
    if not comparison.contests:
        raise CheckFailed("nothing to show: no run came to its end")
    first = Path(arguments.runs[0])
    home = first if first.is_dir() else comparison.contests[0].entries[0].run.path.parent
    out = writable_folder(arguments.out or home / "plots", "--out")
    for line in merged_sweeps(comparison):
        say(f"warning: {line}")
    from experiments.charts import plot_all, predictions
    from experiments.comparison.predictions import predictions as predicted_rates
    from experiments.comparison.predictions import unreadable
    from experiments.comparison.render import limits

    for line in unreadable(comparison):
        say(f"warning: {line}")
    told = predictions(comparison, predicted_rates(comparison))
    try:
        plotted = plot_all(comparison, out, limits(comparison), told, goal)
    except OSError as error:
        raise unwritable(out, error, "--out") from None
    if arguments.json:
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
