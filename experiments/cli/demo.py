"""The verb `demo`: the main strategies on the same work, on this host and on simulated machines."""

from dataclasses import dataclass, replace
from typing import ClassVar

from common.runtime.job import DEDICATED
from experiments.cli.output import dump, say, show
from experiments.cli.run_plans import check_replicas, execute_all
from experiments.comparison.compare import compare_runs
from experiments.comparison.equivalence import same_bits
from experiments.comparison.export import document
from experiments.comparison.model import Comparison, Entry
from experiments.comparison.render import limits, terminal_parts
from experiments.comparison.wording import verdict_sentence
from experiments.config import RunOptions, plan
from experiments.config.argument_parser import OutputOptions
from experiments.config.checks import at_least
from experiments.config.declaration import option
from experiments.config.options.faults import RestartOptions
from experiments.config.strategies import StrategyOptions, strategy_class
from experiments.format.units import human_bytes, human_seconds
from experiments.format.words import plural, turns
from experiments.prediction.cost_model import link_terms
from experiments.report.bottlenecks import busiest
from experiments.runs.files import new_folder, writable_folder

DEMO = ("single", "ps-bsp", "star", "ring", "tree", "noop")
# The same question on many machines in virtual time, because one host cannot show it. The model is large enough for
# bytes to count, and training takes long enough for the link not to be everything.
CLUSTER = RunOptions(
    workers=16, transport="virtual", link="1gbit,50us", hidden=(512, 256), train_seconds=0.02, steps=10, seed=1
)
ON_CLUSTER = ("ring", "ps-bsp")


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, OutputOptions):
    """Train with every strategy, check that they computed the same thing, show a table and plots."""

    HIDDEN: ClassVar[tuple[type, ...]] = (StrategyOptions, RestartOptions, RunOptions)

    steps: int = option(300, "training steps of each strategy", check=at_least(1))
    repeats: int = option(3, "how often each strategy runs, in turns with the others", check=at_least(1))


def run(options: Options) -> int:
    """Train with all strategies in turns, show and check; return 3 if not comparable. CheckFailed, RunFailed."""
    serverless = replace(options, servers=None, placement=DEDICATED)
    plans = [plan(replace(options if strategy_class(n).traits.servers else serverless, strategy=n)) for n in DEMO]
    folder = new_folder(writable_folder(options.results), f"demo-w{options.workers}")
    say(
        f"{', '.join(DEMO)}: {plural(options.workers, 'worker')}, {plural(options.steps, 'step')} of "
        f"{plural(plans[0].job.batch, 'sample')}, {turns(options.repeats)}"
    )
    everything = execute_all(plans * options.repeats, folder)
    simulated = execute_all([plan(replace(CLUSTER, strategy=name)) for name in ON_CLUSTER], folder / "cluster")
    cluster = compare_runs(simulated, baseline=ON_CLUSTER[0])
    check_replicas(everything)
    same_bits(everything)
    from experiments.charts import ChartData, plot_all  # late: matplotlib

    comparison = compare_runs(everything)
    plot_all(ChartData(comparison, limits(comparison)), folder / "plots")
    if options.json:
        about = {"limits": limits(comparison), "cluster": document(cluster)}
        dump({"schema": 1, "results_dir": str(folder), **about, **document(comparison)})
    else:
        more = ["", *_cluster_lines(cluster), "More about this: syncbench sweep incast\n"]
        show(*terminal_parts(comparison), *more)
        print(f"results: {folder}\nplots:   {folder / 'plots'}")
    return 3 if comparison.refusal else 0


def _cluster_lines(comparison: Comparison) -> list[str]:
    """Return the verdict, and what the busiest process of each strategy sends: with a server, the incast."""
    about = f"{CLUSTER.workers} machines with links of 1 Gbit/s, in virtual time, training 20 ms a step"
    return [
        f"On one host no link limits the workers. The same question on {about}:",
        verdict_sentence(comparison),
        *(f"  {_sent(entry)}" for entry in comparison.contests[0].ranked),
        "This is the incast: one link carries the gradients of all workers in, and the parameters for all of them out.",
    ]


def _sent(entry: Entry) -> str:
    sender, sent, _ = busiest(entry.run)
    nbytes = sent or 0
    on_link = human_seconds(nbytes * link_terms(str(CLUSTER.link)).beta)
    step = human_seconds(entry.step_seconds or 0.0)
    sender = "every worker" if sender == "all alike" else sender
    return f"{entry.label}: {sender} sends {human_bytes(round(nbytes))} a step, {on_link} on its link, of {step}"
