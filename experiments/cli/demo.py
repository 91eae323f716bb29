"""The verb `demo`: the main strategies on the same work, on this host and on simulated machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from common.runtime.job import DEDICATED
from experiments.cli.demo_cluster import cluster_lines, on_a_cluster
from experiments.cli.output import console, dump, say
from experiments.cli.run_plans import check_replicas, execute_all, say_run_failed
from experiments.config import Plan, RunOptions, plan
from experiments.config.arguments import OutputOptions
from experiments.config.checks import at_least
from experiments.config.faults import RestartOptions
from experiments.config.option import option
from experiments.config.strategies import StrategyOptions, strategy_class
from experiments.runs.files import writable_folder
from experiments.runs.run import Run

if TYPE_CHECKING:
    from experiments.comparison import Comparison

DEMO = ("single", "ps-bsp", "star", "ring", "tree", "noop")


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, OutputOptions):
    """Train with every strategy, check that they computed the same thing, show a table and plots."""

    HIDDEN: ClassVar[tuple[type, ...]] = (StrategyOptions, RestartOptions, RunOptions)

    steps: int = option(300, "training steps of each strategy", check=at_least(1))
    repeats: int = option(3, "how often each strategy runs, in turns with the others", check=at_least(1))


def run(options: Options) -> int:
    """Train with all strategies on the same work, in turns; show table, check, limits, plots. Raises CheckFailed."""
    plans = [_plan(options, name) for name in DEMO]
    results = writable_folder(options.results)
    from experiments.comparison.equivalence import same_bits
    from experiments.format.words import plural, turns
    from experiments.runs.execute import RunFailed
    from experiments.runs.files import new_folder

    folder = new_folder(results, f"demo-w{options.workers}")
    say(
        f"{', '.join(DEMO)}: {plural(options.workers, 'worker')}, {plural(options.steps, 'step')} of "
        f"{plural(plans[0].job.batch, 'sample')}, {turns(options.repeats)}"
    )
    try:
        everything = execute_all(plans * options.repeats, folder)
        cluster = on_a_cluster(folder / "cluster")
    except RunFailed as failure:
        return say_run_failed(failure, options.json)
    check_replicas(everything)
    same_bits(everything)
    return _show(everything, cluster, folder, options.json)


def _plan(options: Options, name: str) -> Plan:
    if strategy_class(name).traits.servers:
        return plan(dataclasses.replace(options, strategy=name))
    return plan(dataclasses.replace(options, strategy=name, servers=None, placement=DEDICATED))


def _show(everything: Sequence[Run], cluster: Comparison, folder: Path, as_json: bool) -> int:
    """Show table, check, limits and plots, and what a cluster would say; return 3 if the runs cannot be compared."""
    from experiments.charts import ChartData, plot_all
    from experiments.comparison import compare_runs
    from experiments.comparison.export import document
    from experiments.comparison.render import limits, print_comparison

    comparison = compare_runs(everything)
    plot_all(ChartData(comparison, limits(comparison)), folder / "plots")
    if as_json:
        more = {"limits": limits(comparison), "cluster": document(cluster)}
        dump({"schema": 1, "results_dir": str(folder), **more, **document(comparison)})
    else:
        print_comparison(comparison, console())
        console().print("\n" + "\n".join(cluster_lines(cluster)) + "\nMore about this: syncbench sweep incast\n")
        print(f"results: {folder}")
        print(f"plots:   {folder / 'plots'}")
    return 3 if comparison.refusal else 0
