"""The verbs' options on the command line: names, types, defaults, help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser

from common.data import DATASETS
from common.job import TRANSPORTS
from common.models import MODELS
from common.pipeline.schedule import SCHEDULES
from experiments.bench import BenchOptions
from experiments.config import RunOptions
from experiments.config.options import byte_size, sizes
from experiments.config.training import OPTIMIZERS
from experiments.verbs import VERBS

DEFAULTS, BENCH = RunOptions(), BenchOptions()


class _Kind:
    """How a value is read, with a name that says something in --help."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self._name, self._read = name, read

    def __call__(self, given: Any) -> Any:
        return self._read(given)

    def __repr__(self) -> str:
        return self._name


def _slow(given: object) -> str:
    """`3:4`, or a list of them from a configuration file, as text."""
    return ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given)


def _on_off(given: str | bool) -> str:
    """`on` or `off`, which YAML reads as true or false where they have no quotes."""
    return ("on" if given else "off") if isinstance(given, bool) else str(given)


SIZES, BYTES, LOSS = _Kind("sizes", sizes), _Kind("size", byte_size), _Kind("loss", str)
SLOW, ON_OFF = _Kind("RANK:FACTOR", _slow), _Kind("auto|on|off", _on_off)


def parser_of_all() -> ArgumentParser:
    """All verbs with all their options."""
    parser = ArgumentParser(
        prog="syncbench",
        description="Parameter server or all-reduce? Run every answer on the same code, and compare.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    verb = parser.add_subcommands(required=False)
    verb.add_subcommand("demo", _demo(), help="all strategies on real data: table, check, plots")
    verb.add_subcommand("run", _run(), help="one strategy")
    verb.add_subcommand("bench", _bench(), help="strategies' exchanges alone, beside each other: time and bandwidth")
    verb.add_subcommand("compare", _compare(), help="a table of runs, and whether they computed the same thing")
    verb.add_subcommand("plot", _plot(), help="charts of runs, PNG and SVG")
    verb.add_subcommand("list", _plain("What can be asked for."), help="strategies, models, data sets")
    verb.add_subcommand("env", _plain("What results on this machine depend on."), help="this machine and its versions")
    return parser


def _plain(description: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description=description)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def _training(parser: ArgumentParser) -> None:
    """The options that `run` and `demo` share."""
    _ranks(parser.add_argument_group("ranks"))
    _work(parser.add_argument_group("what is trained"))
    _rule(parser.add_argument_group("the update rule"))
    _ways(parser.add_argument_group("how messages travel"))
    _stragglers(parser.add_argument_group("stragglers and deaths"))
    parser.add_argument("--results", type=str, default="results", help="folder for results")


def _ranks(group: Any) -> None:
    group.add_argument("--workers", type=int, default=DEFAULTS.workers, help="worker processes")
    group.add_argument("--servers", type=int | None, default=None, help="parameter servers; null: 1 if it has any")
    _placement(group)
    group.add_argument("--threads", type=int, default=DEFAULTS.threads, help="threads of each rank")
    group.add_argument("--deadline", type=float, default=DEFAULTS.deadline, help="seconds a blocking call may take")


def _placement(group: Any) -> None:
    group.add_argument(
        "--placement",
        type=str,
        default=DEFAULTS.placement,
        help="of servers: dedicated (a process each) or colocated (a thread in a worker's)",
    )


def _work(group: Any) -> None:
    known = f"{', '.join(DATASETS)}; clicks:rows=N,skew=X …"
    group.add_argument("--data", type=str, default=DEFAULTS.data, help=f"data set: {known}")
    group.add_argument("--model", type=str, default=DEFAULTS.model, help=f"model: {', '.join(MODELS)}")
    group.add_argument("--hidden", type=SIZES, default=DEFAULTS.hidden, help="hidden layers, for example 256,128")
    group.add_argument("--batch", type=int | None, default=None, help="samples a step over all workers; null: 32 each")
    group.add_argument("--seed", type=int, default=DEFAULTS.seed, help="of model, partition and order of samples")


def _rule(group: Any) -> None:
    group.add_argument("--optimizer", type=str, default=DEFAULTS.optimizer, help=" or ".join(OPTIMIZERS))
    group.add_argument("--lr", type=float, default=DEFAULTS.lr, help="learning rate")
    group.add_argument("--momentum", type=float, default=DEFAULTS.momentum, help="of sgd")
    group.add_argument("--schedule", type=str, default=DEFAULTS.schedule, help=f"of the rate: {', '.join(SCHEDULES)}")
    group.add_argument("--warmup", type=int, default=DEFAULTS.warmup, help="steps in which the rate rises to --lr")
    group.add_argument("--decay", type=float, default=DEFAULTS.decay, help="factor of schedule step")
    group.add_argument("--decay-every", type=int | None, default=None, help="its steps; null: a third of all")


def _ways(group: Any) -> None:
    group.add_argument(
        "--transport",
        type=str,
        default=DEFAULTS.transport,
        help=f"{', '.join(TRANSPORTS)} or auto (shm where it can be had)",
    )
    group.add_argument("--interface", type=str, default=DEFAULTS.interface, help="of tcp: loopback only")
    group.add_argument("--hosts", type=int, default=DEFAULTS.hosts, help="to share the ranks out over, tcp in between")
    group.add_argument(
        "--bucket",
        type=BYTES,
        default=DEFAULTS.bucket,
        help="how much of the gradient is synchronised at once, like 4MiB",
    )
    group.add_argument(
        "--overlap",
        type=ON_OFF,
        default=DEFAULTS.overlap,
        help="synchronise a bucket while backward goes on; auto: with cores to spare",
    )


def _stragglers(group: Any) -> None:
    """What lengthens the stage `train`, by sleeping, and what becomes of a job that loses a worker."""
    group.add_argument(
        "--slow-worker",
        type=SLOW,
        action="append",
        default=None,
        help="this rank's training takes FACTOR times as long; may be repeated",
    )
    group.add_argument(
        "--jitter",
        type=str,
        default="",
        help="seconds more, drawn each step: exponential:MEAN or uniform:LOW,HIGH",
    )
    group.add_argument(
        "--train-seconds", type=float, default=0.0, help="that training takes at least, slept if need be"
    )
    group.add_argument(
        "--on-worker-death",
        type=str,
        default=DEFAULTS.on_worker_death,
        help="abort the run, or continue without it (ps-async, ps-ssp)",
    )


def _run() -> ArgumentParser:
    parser = _plain("Train with one strategy and write a result folder. Its own options: --strategy.<option> VALUE.")
    parser.add_argument("--config", action="config", help="YAML file with these options")
    parser.add_argument("--strategy", type=str, default=DEFAULTS.strategy, help="a name of `list`, or module:Class")
    parser.add_argument("--strategy_options", type=dict | None, default=None, help="in a YAML file: its own options")
    parser.add_argument("--steps", type=int, default=DEFAULTS.steps, help="training steps")
    _training(parser)
    _restarts(parser.add_argument_group("servers that come back"))
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


def _demo() -> ArgumentParser:
    parser = _plain("Train with every strategy, check that they computed the same thing, show a table and plots.")
    parser.add_argument("--steps", type=int, default=300, help="training steps of each")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is run, in turns with the others")
    _training(parser)
    return parser


def _bench() -> ArgumentParser:
    parser = _plain(
        "Time the exchange alone, without training: results verified first, contestants in turns, beside the limits of "
        "this machine. Exit code 3 if a result is wrong."
    )
    parser.add_argument("--strategies", type=str, default=BENCH.strategies, help="names of `list`, or module:Class")
    parser.add_argument("--sizes", type=str, default=BENCH.sizes, help="of the vector of float32: bytes, KiB, MB …")
    parser.add_argument("--workers", type=int, default=BENCH.workers, help="worker processes, at least 2")
    parser.add_argument("--servers", type=int | None, default=None, help="servers; null: 1 if any has them")
    _placement(parser)
    parser.add_argument("--transport", type=str, default=BENCH.transport, help=f"any of {', '.join(TRANSPORTS)}")
    parser.add_argument("--repeats", type=int, default=BENCH.repeats, help="samples of each, in turns with the others")
    parser.add_argument("--baseline", type=str | None, default=None, help="strategy to divide by; null: gloo, or first")
    parser.add_argument("--interface", type=str, default=BENCH.interface, help="of tcp: loopback only")
    parser.add_argument("--deadline", type=float, default=BENCH.deadline, help="seconds a blocking call may take")
    parser.add_argument("--threads", type=int, default=BENCH.threads, help="threads of each rank")
    parser.add_argument("--results", type=str, default="results", help="folder for results")
    return parser


def _compare() -> ArgumentParser:
    parser = _plain("Compare runs that trained on the same samples. Exit code 3 if they cannot be compared.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--markdown", action="store_true", help="the table as markdown")
    parser.add_argument("--loss", type=LOSS, default=None, help="tell the seconds to this loss; auto: one all reached")
    return parser


def _plot() -> ArgumentParser:
    parser = _plain("Draw runs: throughput, stages, loss, traffic; staleness and stragglers where there are any.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--out", type=str | None, default=None, help="folder for the pictures: the run's own plots/")
    parser.add_argument("--loss", type=LOSS, default=None, help="mark the seconds to it; null: one that all reached")
    return parser


def option_names(argv: list[str]) -> list[str]:
    """The options of the verb that `argv` has, for error lines; those of all verbs if it has none."""
    makers = {"demo": _demo, "run": _run, "bench": _bench, "compare": _compare, "plot": _plot}
    make = makers.get(next((word for word in argv if word in VERBS), ""), lambda: _plain(""))
    return [name for action in make()._actions for name in action.option_strings if name.startswith("--")]
