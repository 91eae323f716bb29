"""Options that several verbs share: names, types, defaults, help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser

from common.data import DATASETS, ELSEWHERE
from common.models import MODELS
from common.pipeline.lr_schedule import SCHEDULES
from common.pipeline.partition import PARTITIONERS
from common.pipeline.transform_names import TRANSFORMS
from common.runtime.job import TRANSPORTS, VIRTUAL
from common.util.byte_size import byte_size
from experiments.config import RunOptions
from experiments.config.options import on_off, sizes
from experiments.config.training import BATCH_PER_WORKER, OPTIMIZERS

DEFAULTS = RunOptions()


class Kind:
    """How a value is read, with a name that says something in --help."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self._name, self._read = name, read

    def __call__(self, given: Any) -> Any:
        return self._read(given)

    def __repr__(self) -> str:
        return self._name


def slow_workers(given: object) -> str:
    """`3:4`, or a list of them from a configuration file, as text."""
    return ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given)


SIZES, BYTES, LOSS = Kind("sizes", sizes), Kind("size", byte_size), Kind("loss", str)
SLOW, ON_OFF = Kind("RANK:FACTOR", slow_workers), Kind("auto|on|off", on_off)


def plain_parser(description: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description=description)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def training_options(parser: ArgumentParser) -> None:
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
    placement_option(group)
    group.add_argument("--threads", type=int, default=DEFAULTS.threads, help="threads of each rank")
    group.add_argument("--deadline", type=float, default=DEFAULTS.deadline, help="seconds a blocking call may take")


def placement_option(group: Any) -> None:
    group.add_argument(
        "--placement",
        type=str,
        default=DEFAULTS.placement,
        help="of servers: dedicated (a process each) or colocated (a thread in a worker's)",
    )


def _work(group: Any) -> None:
    known = f"{', '.join(DATASETS)}; {', '.join(ELSEWHERE)}"
    group.add_argument("--data", type=str, default=DEFAULTS.data, help=f"data set: {known}")
    models = f"{', '.join(MODELS)} or module:callable"
    group.add_argument("--model", type=str, default=DEFAULTS.model, help=f"model: {models}")
    group.add_argument("--hidden", type=SIZES, default=DEFAULTS.hidden, help="hidden layers, for example 256,128")
    group.add_argument(
        "--batch",
        type=int | None,
        default=None,
        help=f"samples a step over all workers; null: {BATCH_PER_WORKER} each, fewer if there are not so many",
    )
    group.add_argument(
        "--partition", type=str, default=DEFAULTS.partition, help=f"of the samples: {', '.join(PARTITIONERS)}"
    )
    group.add_argument(
        "--preprocess",
        type=str | None,
        default=None,
        help=f"any of {', '.join(TRANSFORMS)}, with commas; null: normalise, but ids",
    )
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
        help=f"{', '.join(TRANSPORTS)} or auto (shm where it can be had); {VIRTUAL}: in virtual time",
    )
    group.add_argument(
        "--link", type=str | None, default=None, help="of virtual time, BANDWIDTH,LATENCY for each machine: 1gbit,50us"
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
        "--train-seconds",
        type=float,
        default=0.0,
        help="that training takes each worker at least, slept if need be",
    )
    group.add_argument(
        "--on-worker-death",
        type=str,
        default=DEFAULTS.on_worker_death,
        help="abort the run, or continue without it (ps-async, ps-ssp)",
    )
