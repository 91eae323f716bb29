"""The command line: verbs, their options, exit codes. Everything heavy is imported by the verb that needs it.

Exit codes: 0 fine, 1 the run failed, 2 bad usage, 3 a check failed, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import ArgumentError
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from common.data import DATASETS
from common.errors import CheckFailed, ConfigError, suggest
from common.job import TRANSPORTS
from common.models import MODELS
from common.pipeline.schedule import SCHEDULES
from experiments.bench import BenchOptions
from experiments.config import RunOptions
from experiments.config.options import byte_size, sizes
from experiments.config.training import OPTIMIZERS
from experiments.verbs import VERBS

DEFAULTS, BENCH = RunOptions(), BenchOptions()
KINDS = {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "dict": "a mapping"}


def run(argv: list[str]) -> int:
    """Run one command; returns its exit code. Errors are one line on standard error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        options, argv = _strategy_options(argv)
        parser = _parser()
        try:
            chosen = parser.parse_args(argv)
        except (ArgumentError, ValueError) as error:  # ValueError: a configuration file that is no text
            raise ConfigError(_readable(str(error), argv)) from None
        if chosen.subcommand is None:
            parser.print_help()
            return 2
        arguments = chosen[chosen.subcommand]
        if options and chosen.subcommand != "run":
            raise ConfigError(f"--strategy.{next(iter(options))} belongs to the verb run")
        if chosen.subcommand == "run":
            arguments.strategy_options = {**(arguments.strategy_options or {}), **options}
        code = VERBS[chosen.subcommand](arguments)
        _flush()
        return code
    except ConfigError as error:
        return _say(error, 2)
    except CheckFailed as error:
        return _say(error, 3)
    except KeyboardInterrupt as interrupt:
        print("\n".join(["syncbench: interrupted; all ranks have ended", *_notes(interrupt)]), file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:
        return 1  # whoever read standard output has seen enough
    except OSError as error:
        return _say(error, 1)


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _say(error: Exception, code: int) -> int:
    print("syncbench:", " ".join(str(error).split()), file=sys.stderr)  # one line, whatever the message quotes
    return code


def _flush() -> None:
    """Write out standard output while an error can still be told; Python would do it when it is too late."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, from elsewhere."""


def _interrupt(number: int, frame: object) -> None:
    """The first signal is the last one heard: what follows is bounded, and must not be left half done."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _strategy_options(argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Take `--strategy.<option> value` out of the arguments; values are read as YAML, so numbers are numbers."""
    options: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        match = re.fullmatch(r"--strategy\.([\w.-]+)(?:=(.*))?", word, re.DOTALL)
        if match is None:
            rest.append(word)
            continue
        name, value = match[1], match[2] if match[2] is not None else next(words, None)
        if value is None or (match[2] is None and value.startswith("--")):
            raise ConfigError(f"--strategy.{name} needs a value")
        try:
            options[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--strategy.{name}: {value!r} is no YAML value") from None
    return options, rest


def _parser() -> ArgumentParser:
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


class _Sizes:
    """`sizes`, with a name that says something in --help."""

    def __call__(self, given: str) -> tuple[int, ...]:
        return sizes(given)

    def __repr__(self) -> str:
        return "sizes"


class _Text:
    """Text, numbers too."""

    def __call__(self, given: object) -> str:
        return str(given)

    def __repr__(self) -> str:
        return "loss"


class _Slow:
    """`3:4`, or a list of them from a configuration file, as text."""

    def __call__(self, given: object) -> str:
        return ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given)

    def __repr__(self) -> str:
        return "RANK:FACTOR"


class _OnOff:
    """`on` or `off`, which YAML reads as true or false where they have no quotes."""

    def __call__(self, given: str | bool) -> str:
        return ("on" if given else "off") if isinstance(given, bool) else str(given)

    def __repr__(self) -> str:
        return "auto|on|off"


class _Bytes:
    """`byte_size`, likewise."""

    def __call__(self, given: str) -> int:
        return byte_size(given)

    def __repr__(self) -> str:
        return "size"


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
    group.add_argument("--hidden", type=_Sizes(), default=DEFAULTS.hidden, help="hidden layers, for example 256,128")
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
        type=_Bytes(),
        default=DEFAULTS.bucket,
        help="how much of the gradient is synchronised at once, like 4MiB",
    )
    group.add_argument(
        "--overlap",
        type=_OnOff(),
        default=DEFAULTS.overlap,
        help="synchronise a bucket while backward goes on; auto: with cores to spare",
    )


def _stragglers(group: Any) -> None:
    """What lengthens the stage `train`, by sleeping, and what becomes of a job that loses a worker."""
    group.add_argument(
        "--slow-worker",
        type=_Slow(),
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
    parser.add_argument(
        "--loss", type=_Text(), default=None, help="tell the seconds to this loss; auto: one all reached"
    )
    return parser


def _plot() -> ArgumentParser:
    parser = _plain("Draw runs: throughput, stages, loss, traffic; staleness and stragglers where there are any.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--out", type=str | None, default=None, help="folder for the pictures: the run's own plots/")
    parser.add_argument("--loss", type=_Text(), default=None, help="mark the seconds to it; null: one that all reached")
    return parser


def _readable(message: str, argv: list[str]) -> str:
    """jsonargparse's message as one line in the words of the command line."""
    message = re.sub(r"\s+", " ", message).strip()
    if match := re.match(r"unrecognized arguments: (-\S+)", message, re.IGNORECASE):
        wrong = match[1].split("=")[0]
        return f"unknown option {wrong}: {suggest(wrong, _option_names(argv))}"
    if match := re.search(r"does not accept (?:option|nested key) '([^']*)'", message):
        return f"unknown option {match[1]}: {suggest(f'--{match[1]}', _option_names(argv))}"
    if match := re.search(r"invalid choice: '([^']*)'", message):
        return f"unknown verb {match[1]!r}: {suggest(match[1], VERBS)}"
    if match := re.match(r"(?:Parser key|argument) \"?(?:\w+\.)?-*([\w-]+)\"?: (.*)", message):
        name, rest = match[1], match[2]
        if got := re.search(r"(?:Got|Given) value: (.*)", rest):
            kind = re.search(r"Expected a <class '(\w+)'>", rest)
            return f"--{name}: {got[1]!r} is not {KINDS.get(kind[1] if kind else '', 'what is expected')}"
        for wrong, right in (
            ("invalid sizes value", "give whole numbers with commas, like 256,128, not"),
            ("invalid size value", "give a whole number and a unit, like 4MiB, not"),
        ):
            rest = rest.replace(wrong, right)
        return f"--{name}: {rest}"
    return message


def _option_names(argv: list[str]) -> list[str]:
    makers = {"demo": _demo, "run": _run, "bench": _bench, "compare": _compare, "plot": _plot}
    make = makers.get(next((word for word in argv if word in VERBS), ""), lambda: _plain(""))
    return [name for action in make()._actions for name in action.option_strings if name.startswith("--")]
