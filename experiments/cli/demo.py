"""The verb `demo`: the main strategies on the same work, here and on machines of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from common.errors import ConfigError
from common.runtime.job import DEDICATED
from experiments.cli.demo_cluster import on_a_cluster, told
from experiments.cli.output import dump, say
from experiments.cli.run_plans import execute_all, replicas_as_promised, run_options, say_failed
from experiments.cli.showing import console
from experiments.config import plan
from experiments.config.arguments import plain_parser, training_options
from experiments.config.strategies import strategy_class
from experiments.runs.files import writable_folder
from experiments.runs.run import Run

if TYPE_CHECKING:
    from experiments.comparison import Comparison

HELP = "all strategies on real data: table, check, plots"
DEMO = ("single", "ps-bsp", "star", "ring", "tree", "noop")


def parser() -> ArgumentParser:
    parser = plain_parser("Train with every strategy, check that they computed the same thing, show a table and plots.")
    parser.add_argument("--steps", type=int, default=300, help="training steps of each")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is run, in turns with the others")
    training_options(parser)
    return parser


def run(arguments: Namespace) -> int:
    """All strategies on the same work, in turns; table, check, limits, plots. Raises CheckFailed."""
    plans = []
    if arguments.repeats < 1:
        raise ConfigError(f"--repeats is {arguments.repeats}: give a whole number from 1")
    for name in DEMO:
        where = {} if strategy_class(name).traits.servers else {"servers": None, "placement": DEDICATED}
        plans.append(plan(run_options(arguments, strategy=name, **where)))
    results = writable_folder(arguments.results)
    from experiments.comparison.repeats import same_bits
    from experiments.runs.describe import plural, turns
    from experiments.runs.execute import RunFailed
    from experiments.runs.files import new_folder
    from experiments.schema.files import to_builtins

    folder = new_folder(results, f"demo-w{arguments.workers}")
    say(
        f"{', '.join(DEMO)}: {plural(arguments.workers, 'worker')}, {plural(arguments.steps, 'step')} of "
        f"{plural(plans[0].job.batch, 'sample')}, {turns(arguments.repeats)}"
    )
    try:
        everything = execute_all(plans * arguments.repeats, folder)
        cluster = on_a_cluster(folder / "cluster")
    except RunFailed as failure:
        if arguments.json:
            dump(to_builtins(failure.run.summary))
        return say_failed(failure)
    replicas_as_promised(everything)
    same_bits(everything)
    return _show(everything, cluster, folder, arguments)


def _show(everything: Sequence[Run], cluster: Comparison, folder: Path, arguments: Namespace) -> int:
    """Table, check, limits and plots, and what a cluster would say; 3 if there is no comparing them."""
    from experiments.charts import plot_comparison
    from experiments.comparison import compare_runs
    from experiments.comparison.export import document
    from experiments.comparison.render import limits, print_comparison

    comparison = compare_runs(everything)
    plot_comparison(comparison, folder / "plots", limits(comparison))
    if arguments.json:
        more = {"limits": limits(comparison), "cluster": document(cluster, {})}
        dump({"schema": 1, "results_dir": str(folder), **more, **document(comparison, {})})
    else:
        print_comparison(comparison, {}, console())
        console().print("\n" + "\n".join(told(cluster)) + "\nMore of that: syncbench sweep incast\n")
        print(f"results: {folder}")
        print(f"plots:   {folder / 'plots'}")
    return 3 if comparison.refusal else 0
