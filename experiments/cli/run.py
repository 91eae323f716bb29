"""The verb `run`: one strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from experiments.cli.output import dump, say
from experiments.cli.run_plans import execute_all, replicas_as_promised, run_options, say_failed
from experiments.cli.showing import show
from experiments.config import Plan, plan
from experiments.config.arguments import DEFAULTS, plain_parser, training_options
from experiments.runs import tensorboard
from experiments.runs.files import writable_folder
from experiments.runs.run import Run

HELP = "one strategy"


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Train with one strategy and write a result folder. Its own options: --strategy.<option> VALUE."
    )
    parser.add_argument("--config", action="config", help="YAML file with these options")
    parser.add_argument("--strategy", type=str, default=DEFAULTS.strategy, help="a name of `list`, or module:Class")
    parser.add_argument("--strategy_options", type=dict | None, default=None, help="in a YAML file: its own options")
    parser.add_argument("--steps", type=int, default=DEFAULTS.steps, help="training steps")
    training_options(parser)
    _restarts(parser.add_argument_group("servers that come back"))
    parser.add_argument("--tensorboard", action="store_true", help="events of the run for TensorBoard, too")
    parser.add_argument("--trace", action="store_true", help="write trace.json, what each rank did when: see `trace`")
    return parser


def _restarts(group: Any) -> None:
    group.add_argument(
        "--checkpoint-every",
        type=int,
        default=DEFAULTS.checkpoint_every,
        help="steps after which each server saves its state; 0: never",
    )
    group.add_argument(
        "--restarts", type=int, default=DEFAULTS.restarts, help="how often a server that died is started again"
    )


def run(arguments: Namespace) -> int:
    """One strategy: result folder, and a table or JSON."""
    item = plan(run_options(arguments))
    if arguments.tensorboard:
        tensorboard.check()
    results = writable_folder(arguments.results)
    from experiments.metrics.traffic import imbalance
    from experiments.runs.execute import RunFailed
    from experiments.schema.files import to_builtins

    try:
        (done,) = execute_all([item], results)
    except RunFailed as failure:
        if arguments.json:
            dump(to_builtins(failure.run.summary))
        return say_failed(failure)
    events = tensorboard.write(done) if arguments.tensorboard else None
    if arguments.json:
        dump(to_builtins(done.summary))
    else:
        show(done)
        print("\n".join(_after(done, item)))
        if events:
            print(f"tensorboard --logdir {events}")
        if item.job.trace:
            print(f"trace: syncbench trace {done.path}")
    if warning := imbalance(done.summary):
        say(f"warning: {warning}")
    if done.summary.data_sha256 is None:
        say("warning: the workers have not all loaded the same data: see data_sha256")
    replicas_as_promised([done])
    return 0


def _after(done: Run, item: Plan) -> Iterator[str]:
    """What else there is to say of it: what its strategy notes, who came back, who died, where it is."""
    from experiments.launch.recovery import deaths_line, restarts_line
    from experiments.runs.describe import sparse_line

    if words := done.summary.strategy_notes.get("in_words"):
        yield f"{done.strategy} {words}"
    if restarts := done.summary.restarts:
        lost = done.summary.pushes.lost if done.summary.pushes else 0
        yield f"restarts: {restarts_line(restarts, lost)}"
    if deaths := done.summary.deaths:
        yield f"deaths: {deaths_line(deaths, done.summary.workers)}"
    if words := sparse_line(done.summary, item.traits.sparse):
        yield words
    yield f"results: {done.path}"
