"""The verb `bench`: exchanges alone, verified, timed in turns, beside the machine's limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed
from common.runtime.job import TRANSPORTS
from experiments.bench.plan import BenchOptions, BenchPlan, plan_bench, schedule
from experiments.cli.output import dump, say, say_traceback
from experiments.cli.showing import console
from experiments.config.arguments import placement_option, plain_parser
from experiments.runs.describe import plural, turns
from experiments.runs.files import writable_folder

if TYPE_CHECKING:
    from experiments.bench.run import Bench, BenchFailed

HELP = "strategies' exchanges alone, beside each other: time and bandwidth"
BENCH = BenchOptions()
STRATEGIES = "names of `list`, or module:Class, with options as in ps-bsp(segment=64KiB)"


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Time the exchange alone, without training: results verified first, contestants in turns, beside the limits of "
        "this machine. Exit code 3 if a result is wrong."
    )
    parser.add_argument("--strategies", type=str, default=BENCH.strategies, help=STRATEGIES)
    parser.add_argument("--sizes", type=str, default=BENCH.sizes, help="of the vector of float32: bytes, KiB, MB …")
    parser.add_argument("--workers", type=int, default=BENCH.workers, help="worker processes, at least 2")
    parser.add_argument("--servers", type=int | None, default=None, help="servers; null: 1 if any has them")
    placement_option(parser)
    parser.add_argument("--transport", type=str, default=BENCH.transport, help=f"any of {', '.join(TRANSPORTS)}")
    parser.add_argument("--repeats", type=int, default=BENCH.repeats, help="samples of each, in turns with the others")
    parser.add_argument("--with-update", action="store_true", help="add to all-reduces the update, which servers make")
    parser.add_argument("--baseline", type=str | None, default=None, help="strategy to divide by; null: gloo, or first")
    parser.add_argument("--interface", type=str, default=BENCH.interface, help="of tcp: loopback only")
    parser.add_argument("--deadline", type=float, default=BENCH.deadline, help="seconds a blocking call may take")
    parser.add_argument("--threads", type=int, default=BENCH.threads, help="threads of each rank")
    parser.add_argument("--results", type=str, default="results", help="folder for results")
    return parser


def run(arguments: Namespace) -> int:
    """Result folder, and tables or JSON; returns the exit code. Raises CheckFailed if a result is wrong."""
    names = {field.name for field in dataclasses.fields(BenchOptions)}
    options = BenchOptions(**{name: value for name, value in vars(arguments).items() if name in names})
    spec = plan_bench(options)
    results = writable_folder(arguments.results)
    from experiments.bench.results import wrong_results
    from experiments.bench.run import BenchFailed

    say(_announcement(spec))
    try:
        done = measure(options, spec, results)
    except BenchFailed as failure:
        if arguments.json:
            dump(failure.document)
        return _failed(failure)
    if arguments.json:
        dump(done.document)
    else:
        _show(done.document)
        print(f"results: {done.folder}")
    plotted = _plot(done)
    if plotted and not arguments.json:
        print(f"plots:   {done.folder / 'plots'}")
    if wrong := wrong_results(done.document["rows"]):
        raise CheckFailed(wrong)
    return 0


def _announcement(spec: BenchPlan) -> str:
    names = ", ".join(one.name for one in spec.contestants)
    sizes = plural(len(spec.sizes), "size")
    return f"{names}: {spec.workers} workers, {sizes}, {turns(spec.repeats)}, verified first"


def measure(options: BenchOptions, spec: BenchPlan, results: Path) -> Bench:
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
    """Draw the charts into the result folder. If that fails, a line says why: what was measured holds without them."""
    try:
        from experiments.charts.bench import plot_bench

        plot_bench(done.document, done.folder / "plots")
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        say(f"warning: the plots could not be drawn: {reason}")
        return False
    return True


def _show(document: Mapping[str, Any]) -> None:
    """The tables for people, on standard output."""
    from experiments.bench.table import bench_tables, notes

    shown = console()
    for table in bench_tables(document):
        shown.print(table)
        shown.print()
    for line in notes(document):
        shown.print(line)
