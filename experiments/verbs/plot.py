"""The verb `plot`: charts of runs."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed
from experiments.folders import writable_folder
from experiments.verbs.compare import loss_goal
from experiments.verbs.options import LOSS, plain_parser
from experiments.verbs.showing import limits
from experiments.verbs.speech import dump, say

HELP = "charts of runs: PNG, SVG, and their numbers as CSV"


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Draw every chart that the runs have data for, and say why not the others; see docs/charts.md."
    )
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them, such as a sweep's")
    parser.add_argument("--out", type=str | None, default=None, help="folder for them: plots/ in the first one")
    parser.add_argument("--loss", type=LOSS, default=None, help="measure time to it; null: one that most reached")
    return parser


def run(arguments: Namespace) -> int:
    """Pictures of existing runs: into the first folder given, or wherever --out says. Raises CheckFailed."""
    goal = loss_goal(arguments.loss)
    from experiments.comparison import compare_runs
    from experiments.results import find_runs

    comparison = compare_runs(find_runs(arguments.runs))
    runs = [run for contest in comparison.contests for entry in contest.entries for run in entry.runs]
    if not runs:
        raise CheckFailed("nothing to show: no run came to its end")
    out = Path(arguments.out or Path(arguments.runs[0]) / "plots")
    writable_folder(out)
    from experiments.charts import plot_all

    plotted = plot_all(comparison, out, limits(runs), loss=goal)
    if arguments.json:
        pictures = [
            {"name": each.name, "title": each.title, "files": list(map(str, each.files)), "note": each.note}
            for each in plotted.pictures
        ]
        files = [file for each in pictures for file in each["files"]]
        dump({"schema": 1, "plots": files, "charts": pictures, "not_drawn": dict(plotted.absent)})
        return 0
    for name, why in plotted.absent.items():
        say(f"not drawn: {name}: {why}")
    print("\n".join(str(file) for each in plotted.pictures for file in each.files))
    return 0
