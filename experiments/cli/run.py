"""The verb `run`: train with one strategy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.cli.output import dump, say, show
from experiments.cli.run_plans import check_replicas, execute_all
from experiments.comparison.equivalence import check_parameters
from experiments.comparison.tables import runs_table
from experiments.config import Plan, RunOptions, plan
from experiments.config.argument_parser import OutputOptions
from experiments.config.declaration import option
from experiments.metrics.traffic import imbalance
from experiments.runs import tensorboard
from experiments.runs.describe import deaths_line, limits_line, restarts_line, sparse_line
from experiments.runs.files import writable_folder
from experiments.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, OutputOptions):
    """Train with one strategy and write a result folder. The strategy's own options: --strategy.<option> VALUE."""

    config: Any = option(None, "YAML file with these options", action="config")
    tensorboard: bool = option(False, "also write the events of the run for TensorBoard")


def run(options: Options) -> int:
    """Train with one strategy; show a table or JSON. Raises ConfigError, CheckFailed, RunFailed."""
    planned = plan(options)
    if options.tensorboard:
        tensorboard.check()
    (done,) = execute_all([planned], writable_folder(options.results))
    events = tensorboard.write(done) if options.tensorboard else None
    if options.json:
        dump(done.summary)
    else:
        show(runs_table([done], check_parameters([done])), f"limits: {limits_line(done.summary, done.env)}")
        print("\n".join(_lines(done, planned)))
        if events:
            print(f"tensorboard --logdir {events}")
        if planned.job.trace:
            print(f"trace: syncbench trace {done.path}")
    if warning := imbalance(done.summary):
        say(f"warning: {warning}")
    if done.summary.data_sha256 is None:
        say("warning: the workers have not all loaded the same data: see data_sha256")
    check_replicas([done])
    return 0


def _lines(done: Run, planned: Plan) -> Iterator[str]:
    """Yield the lines below the table: the strategy's notes, restarts and deaths, and the folder."""
    if words := done.summary.strategy_notes.get("in_words"):
        yield f"{done.strategy} {words}"
    if restarts := done.summary.restarts:
        lost = done.summary.pushes.lost if done.summary.pushes else 0
        yield f"restarts: {restarts_line(restarts, lost)}"
    if deaths := done.summary.deaths:
        yield f"deaths: {deaths_line(deaths, done.summary.workers)}"
    if words := sparse_line(done.summary, planned.traits.sparse):
        yield words
    yield f"results: {done.path}"
