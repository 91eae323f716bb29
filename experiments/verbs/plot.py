"""The verb `plot`: charts of runs."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from experiments.folders import writable_folder
from experiments.verbs.compare import loss_goal
from experiments.verbs.options import LOSS, plain_parser
from experiments.verbs.showing import comparable, limits
from experiments.verbs.speech import dump

HELP = "charts of runs, PNG and SVG"


def parser() -> ArgumentParser:
    parser = plain_parser("Draw runs: throughput, stages, loss, traffic; staleness and stragglers where there are any.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--out", type=str | None, default=None, help="folder for the pictures: the run's own plots/")
    parser.add_argument("--loss", type=LOSS, default=None, help="mark the seconds to it; null: one that all reached")
    return parser


def run(arguments: Namespace) -> int:
    """Pictures of existing runs: into the one run's folder, or wherever --out says. Raises CheckFailed, as compare."""
    goal = loss_goal(arguments.loss)
    runs = comparable(arguments.runs)
    out = arguments.out or Path(arguments.runs[0]) / "plots"
    writable_folder(out)
    from experiments.plots import plot_runs
    from experiments.repeats import medians
    from experiments.straggler_plots import plot_stragglers

    middle, rates = medians(runs)
    files = [*plot_runs(middle, out, limits(runs), rates), *plot_stragglers(runs, out, limits(runs), goal)]
    pictures = [str(path) for path in files]
    if arguments.json:
        dump({"schema": 1, "plots": pictures})
    else:
        print("\n".join(pictures))
    return 0
