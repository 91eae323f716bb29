"""The verb `bench`: exchanges alone, verified, timed in turns, beside the machine's limits."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import CheckFailed
from experiments.bench.plan import BenchOptions, plan_bench, schedule
from experiments.bench.results import wrong_results
from experiments.bench.run import run_bench
from experiments.bench.table import bench_tables, notes
from experiments.cli.output import dump, say, show
from experiments.config.argument_parser import OutputOptions
from experiments.config.declaration import made_from
from experiments.format.words import plural, turns
from experiments.launch.agent import Agent
from experiments.runs.files import writable_folder
from experiments.runs.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions, OutputOptions):
    """Time the exchange alone, without training: first the results are verified, then the contestants take turns.

    The limits of this machine stand beside the times. Exit code 3 if a result is wrong.
    """


def run(options: Options) -> int:
    """Write a result folder, and show tables or JSON. Raises CheckFailed if a result is wrong, JobFailed."""
    asked = made_from(BenchOptions, options)
    plan = plan_bench(asked)
    results = writable_folder(options.results)
    names = ", ".join(one.name for one in plan.contestants)
    sizes = plural(len(plan.sizes), "size")
    say(f"{names}: {plan.workers} workers, {sizes}, {turns(plan.repeats)}, verified first")
    with Agent(plan.threads) as agent, Progress("bench", len(schedule(plan)), plan.workers) as progress:
        bench = run_bench(asked, plan, agent, results, progress.update)
    if options.json:
        dump(bench)
    else:
        show(*bench_tables(bench), *notes(bench))
        print(f"results: {bench.results_dir}")
    plots = Path(bench.results_dir) / "plots"
    try:
        from experiments.charts.bench import plot_bench  # late: matplotlib

        plot_bench(bench, plots)
    except Exception as error:  # the measurements hold without charts
        say(f"warning: the plots could not be drawn: {' '.join(str(error).split()) or type(error).__name__}")
    else:
        if not options.json:
            print(f"plots:   {plots}")
    if wrong := wrong_results(bench.rows):
        raise CheckFailed(wrong)
    return 0
