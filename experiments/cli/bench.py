"""The verb `bench`: exchanges alone, verified, timed in turns, beside the machine's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import CheckFailed
from experiments.bench.plan import BenchOptions, BenchPlan, plan_bench, schedule
from experiments.cli.output import console, dump, say, say_traceback
from experiments.config.arguments import OutputOptions
from experiments.config.option import made_from
from experiments.runs.describe import plural, turns
from experiments.runs.files import writable_folder

if TYPE_CHECKING:
    from experiments.bench.run import Bench, BenchFailed


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions, OutputOptions):
    """Time the exchange alone, without training: first the results are verified, then the contestants take turns.

    The limits of this machine stand beside the times. Exit code 3 if a result is wrong.
    """


def run(options: Options) -> int:
    """Write a result folder, and show tables or JSON. Raises CheckFailed if a result is wrong."""
    asked = made_from(BenchOptions, options)
    spec = plan_bench(asked)
    results = writable_folder(options.results)
    from experiments.bench.results import wrong_results
    from experiments.bench.run import BenchFailed

    say(_announcement(spec))
    try:
        done = measure(asked, spec, results)
    except BenchFailed as failure:
        if options.json:
            dump(failure.document)
        return _failed(failure)
    if options.json:
        dump(done.document)
    else:
        _show(done.document)
        print(f"results: {done.folder}")
    if _plot(done) and not options.json:
        print(f"plots:   {done.folder / 'plots'}")
    if wrong := wrong_results(done.document["rows"]):
        raise CheckFailed(wrong)
    return 0


def _announcement(spec: BenchPlan) -> str:
    names = ", ".join(one.name for one in spec.contestants)
    sizes = plural(len(spec.sizes), "size")
    return f"{names}: {spec.workers} workers, {sizes}, {turns(spec.repeats)}, verified first"


def measure(options: BenchOptions, spec: BenchPlan, results: Path) -> Bench:
    """Run the benchmark with live progress. Blocks. Raises BenchFailed."""
    from experiments.bench.progress import bench_progress
    from experiments.bench.run import run_bench
    from experiments.launch.agent import Agent

    with Agent(spec.threads) as agent, bench_progress(len(schedule(spec))) as show:
        return run_bench(options, spec, agent, results, show)


def _failed(failure: BenchFailed) -> int:
    say_traceback(failure)
    say(f"syncbench: {failure.error} (during {failure.during})")
    say(f"what was measured is in {failure.folder}")
    return 1


def _plot(done: Bench) -> bool:
    """Draw the charts into the result folder. If that fails, say why: the measurements hold without them."""
    try:
        from experiments.charts.bench import plot_bench

        plot_bench(done.document, done.folder / "plots")
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        say(f"warning: the plots could not be drawn: {reason}")
        return False
    return True


def _show(document: Mapping[str, Any]) -> None:
    """Print the tables for people."""
    from experiments.bench.table import bench_tables, notes

    shown = console()
    for table in bench_tables(document):
        shown.print(table)
        shown.print()
    for line in notes(document):
        shown.print(line)
