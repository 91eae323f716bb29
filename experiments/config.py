"""From what the user asked for to a `Job` that can run: every mistake is found here, before anything starts."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.data import canonical, describe
from common.errors import ConfigError, suggest
from common.job import AUTO, BUCKET, COLOCATED, DEDICATED, PLACEMENTS, TRANSPORTS, WHOLE, Job, OptimizerSpec
from common.models import MODELS
from common.pipeline.buckets import ELEMENT
from common.pipeline.schedule import SCHEDULES
from common.pipeline.straggle import jitter, slow_workers
from common.placement import crews
from common.strategy import Traits
from experiments.environment import cores
from experiments.registry import create
from experiments.sparse import fitting, resolve

OPTIMIZERS = ("sgd", "adam")
OVERLAPS = ("auto", "on", "off")
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
BATCH_PER_WORKER = 32
MOST_RESTARTS = 999
MOST_PROCESSES = 256  # on one machine; more is a typing error, and virtual time's business
MOST_RANKS = 2 * MOST_PROCESSES  # with colocated servers: one a worker


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What can be asked of a run. None: chosen from the rest."""

    strategy: str = "ring"
    workers: int = 4
    servers: int | None = None
    steps: int = 200
    batch: int | None = None
    seed: int = 0
    data: str = "digits"
    model: str = "mlp"
    hidden: tuple[int, ...] = (64,)
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    placement: str = DEDICATED
    schedule: str = "constant"
    warmup: int = 0
    decay: float = 0.1
    decay_every: int | None = None
    transport: str = AUTO
    interface: str = "127.0.0.1"
    hosts: int = 1
    deadline: float = 60.0
    threads: int = 1
    bucket: int | None = None
    overlap: str = "auto"
    checkpoint_every: int = 0
    restarts: int = 0
    slow_worker: str | Sequence[str] = ""
    jitter: str = ""
    train_seconds: float = 0.0
    on_worker_death: str = "abort"
    strategy_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can run, what its strategy promises, and how many worker processes it takes.

    Dedicated servers take a process each beside them.
    """

    job: Job
    traits: Traits
    processes: int


def plan(options: RunOptions) -> Plan:
    """Check everything and fill in what was left open. Raises ConfigError, one line."""
    info = describe(options.data)
    _known("model", options.model, MODELS)
    _known("optimizer", options.optimizer, OPTIMIZERS)
    _known("placement", options.placement, PLACEMENTS)
    transport = transport_named(options.transport)
    if options.overlap not in OVERLAPS:
        raise ConfigError(f"--overlap is {options.overlap!r}: give {', '.join(OVERLAPS[:-1])} or {OVERLAPS[-1]}")
    for name in ("workers", "hosts", "steps", "threads"):
        _at_least_one(name, getattr(options, name))
    _positive("lr", options.lr)
    _positive("deadline", options.deadline)
    if options.bucket is not None and options.bucket < ELEMENT:
        raise ConfigError(f"--bucket is {options.bucket} bytes: give {ELEMENT}, one float32, or more, like 4MiB")
    if not 0 <= options.seed < 1 << 64:
        raise ConfigError(f"--seed is {options.seed}: give a whole number from 0 to below 2**64")
    if not 0 <= options.momentum < 1:
        raise ConfigError(f"--momentum is {options.momentum:g}: give a number from 0 to below 1")
    _schedule(options)
    if not options.hidden or min(options.hidden) < 1:
        raise ConfigError("--hidden needs at least one layer of at least one unit, for example 64 or 256,128")
    if options.hosts > options.workers:
        raise ConfigError(f"--hosts {options.hosts} for {options.workers} workers: each needs one at least")
    if options.hosts > 1 and transport == "ipc":
        raise ConfigError("--hosts needs --transport shm, to have tcp between hosts, or tcp for all")
    if transport == "tcp" or options.hosts > 1:
        from common.transport.address import tcp_address

        tcp_address(options.interface)
    for name, value in options.strategy_options.items():
        _plain(name, value)
    strategy = create(options.strategy, options.strategy_options)
    strategy.check(options.workers)
    fitting(options.model, options.data, info)
    rule = _optimizer(options)
    if options.hosts > 1 and strategy.traits.own_transport is not None:
        raise ConfigError(f"--hosts is about our transports, {options.strategy!r} brings its own: leave it out")
    servers = _servers(options, strategy.traits)
    _comebacks(options, strategy.traits)
    _count(options, servers)
    _deaths(options, strategy.traits)
    overlap, bucket = _overlap(options, servers)
    slow = _stragglers(options)
    return Plan(
        Job(
            strategy=options.strategy,
            workers=options.workers,
            servers=servers,
            batch=_batch(options),
            steps=options.steps,
            seed=options.seed,
            data=canonical(options.data),
            model=options.model,
            hidden=options.hidden,
            optimizer=rule,
            placement=options.placement,
            transport=transport,
            interface=options.interface,
            hosts=1 if strategy.traits.one_process else options.hosts,
            deadline=options.deadline,
            threads=options.threads,
            bucket=bucket,
            overlap=overlap,
            checkpoint_every=options.checkpoint_every,
            restarts=options.restarts,
            slow_worker=slow,
            jitter=options.jitter,
            train_seconds=options.train_seconds,
            on_worker_death=options.on_worker_death,
            sparse=resolve(options.strategy, strategy, options.model, rule),
            strategy_options=options.strategy_options,
        ),
        strategy.traits,
        1 if strategy.traits.one_process else options.workers,
    )


def _count(options: RunOptions, servers: int) -> None:
    """ConfigError if it takes too many processes, or they would hold too many ranks."""
    if (processes := len(crews(options.workers, servers, options.placement))) > MOST_PROCESSES:
        raise ConfigError(f"{processes} processes on one machine: at most {MOST_PROCESSES}")
    if (ranks := options.workers + servers) > MOST_RANKS:
        raise ConfigError(f"{ranks} workers and servers on one machine: at most {MOST_RANKS}")


def _schedule(options: RunOptions) -> None:
    _known("schedule", options.schedule, SCHEDULES)
    if not 0 <= options.warmup <= options.steps:
        raise ConfigError(f"--warmup is {options.warmup}: give a whole number from 0 to the {options.steps} steps")
    if options.schedule in ("linear", "cosine") and options.warmup == options.steps:
        raise ConfigError(f"--warmup {options.warmup} leaves --schedule {options.schedule} none of the steps")
    if not 0 < options.decay <= 1:
        raise ConfigError(f"--decay is {options.decay:g}: give a number above 0, at most 1")
    if options.decay_every is not None:
        _at_least_one("decay-every", options.decay_every)


def _optimizer(options: RunOptions) -> OptimizerSpec:
    """The update rule; a decay in steps without a number of them happens twice, after each third."""
    third = max(1, math.ceil((options.steps - options.warmup) / 3)) if options.schedule == "step" else 1
    return OptimizerSpec(
        options.optimizer,
        options.lr,
        options.momentum,
        options.schedule,
        options.warmup,
        options.decay,
        options.decay_every or third,
        options.steps if options.schedule in ("linear", "cosine") else 0,
    )


def _deaths(options: RunOptions, traits: Traits) -> None:
    """Whether the death of a worker can be survived as it was asked for."""
    if options.on_worker_death not in ("abort", "continue"):
        raise ConfigError(f"--on-worker-death is {options.on_worker_death!r}: give abort or continue")
    if options.on_worker_death == "abort":
        return
    if traits.on_worker_death == "abort":
        cannot = f"strategy {options.strategy!r} cannot go on without a worker"
        raise ConfigError(f"--on-worker-death continue: {cannot}; use ps-async, or ps-ssp with a staleness")
    if options.hosts > 1:
        raise ConfigError("--on-worker-death continue is for one host: leave --hosts out")
    if options.placement == COLOCATED:
        raise ConfigError("--on-worker-death continue: a colocated server dies with its worker; use dedicated ones")


def _stragglers(options: RunOptions) -> str:
    """`--slow-worker`, however often it was given, as one text. ConfigError if any straggler cannot be."""
    given = options.slow_worker
    text = given if isinstance(given, str) else ",".join(given)
    try:
        factors = slow_workers(text)
    except ValueError as error:
        raise ConfigError(f"--slow-worker: {error}") from None
    if strangers := [rank for rank in factors if not 0 <= rank < options.workers]:
        raise ConfigError(f"--slow-worker {strangers[0]}: the workers are 0 to {options.workers - 1}")
    try:
        drawn = jitter(options.jitter)
    except ValueError as error:
        raise ConfigError(f"--jitter: {error}") from None
    if not (math.isfinite(options.train_seconds) and options.train_seconds >= 0):
        raise ConfigError(f"--train-seconds is {options.train_seconds:g}: give a number from 0")
    late = drawn.values[-1] if drawn is not None else 0.0  # the most, or the mean
    if (longest := max(factors.values(), default=1.0) * options.train_seconds + late) >= options.deadline:
        raise ConfigError(f"the slowest worker trains for {longest:g} s: give a --deadline above that")
    return text


def _overlap(options: RunOptions, servers: int) -> tuple[str, int]:
    """Whether to overlap, and the size of a bucket in bytes.

    Overlap takes a core beside each worker's. Without one, the communication thread takes time from backward, and
    buckets cost more than they hide: then the whole gradient is one, after backward.
    """
    overlap = options.overlap
    if overlap == "auto":
        overlap = "on" if cores() >= 2 * options.workers + servers else "off"
    whole = overlap == "off" and options.overlap == "auto"
    return overlap, (WHOLE if whole else BUCKET) if options.bucket is None else options.bucket


def transport_named(name: str) -> str:
    """The transport behind `name`, `auto` included. ConfigError if there is none, or this machine cannot do it."""
    from common.transport.arena import reason_against

    _known("transport", name, (AUTO, *TRANSPORTS))
    reason = reason_against()
    if name == "shm" and reason:
        raise ConfigError(f"--transport shm cannot be used here: {reason}; use ipc, or auto")
    if name == AUTO:
        return "ipc" if reason else "shm"
    return name


def _known(what: str, name: str, known: Sequence[str] | dict[str, Any]) -> None:
    if name not in known:
        raise ConfigError(f"unknown {what} {name!r}: {suggest(name, known)}")


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"--{name} is {value}: give a whole number from 1")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"--{name} is {value:g}: give a number above 0")


def _plain(name: str, value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigError(
            f"--strategy.{name}: {value} is neither number, text, truth value, list nor mapping"
        ) from None


def _servers(options: RunOptions, traits: Traits) -> int:
    if not traits.servers:
        if options.servers:
            raise ConfigError(f"strategy {options.strategy!r} has no servers: leave --servers out, or use ps-bsp")
        if options.placement == COLOCATED:
            raise ConfigError(f"strategy {options.strategy!r} has no servers to be colocated: leave --placement out")
        return 0
    servers = 1 if options.servers is None else options.servers
    if servers < 1:
        raise ConfigError(f"--servers is {servers}: {options.strategy!r} needs at least 1")
    return servers


def _comebacks(options: RunOptions, traits: Traits) -> None:
    """Whether servers can come back as it was asked for."""
    every, restarts = options.checkpoint_every, options.restarts
    if every < 0:
        raise ConfigError(f"--checkpoint-every is {every} steps: give 1 or more, or 0 for no checkpoints")
    if not 0 <= restarts <= MOST_RESTARTS:
        raise ConfigError(f"--restarts is {restarts}: give a whole number from 0 to {MOST_RESTARTS}")
    if restarts and not every:
        raise ConfigError(f"--restarts {restarts} needs --checkpoint-every: a server comes back from a checkpoint")
    if every and options.placement == COLOCATED:
        raise ConfigError(
            "a colocated server dies with its worker, which cannot come back: leave --checkpoint-every out"
        )
    if every and traits.on_server_death == "none":
        why = "servers that cannot come back" if traits.servers else "no servers"
        raise ConfigError(f"strategy {options.strategy!r} has {why}: leave --checkpoint-every out, or use ps-bsp")


def _batch(options: RunOptions) -> int:
    """Samples a step over all workers."""
    workers, samples = options.workers, describe(options.data).train_samples
    if workers > samples:
        raise ConfigError(f"{workers} workers for the {samples} training samples of {options.data}: at most {samples}")
    batch = min(BATCH_PER_WORKER, samples // workers) * workers if options.batch is None else options.batch
    _at_least_one("batch", batch)
    if batch % workers:
        near = [batch - batch % workers, batch - batch % workers + workers]
        right = " or ".join(str(size) for size in near if size)
        raise ConfigError(f"--batch {batch} does not divide among {workers} workers: {right} does")
    most = samples // workers * workers
    if batch > most:
        raise ConfigError(
            f"--batch {batch}, but {options.data} has {samples} for {workers} workers: at most --batch {most}"
        )
    return batch


def sizes(given: str | int | Sequence[int]) -> tuple[int, ...]:
    """`256,128` (or a list, or one number) as layer sizes. ValueError if it is something else."""
    text = str(given).strip("[](), ")
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*", text):
        raise ValueError(f"layer sizes are whole numbers with commas, like 256,128; not {given!r}")
    return tuple(int(part) for part in text.split(","))


def byte_size(given: str | int) -> int:
    """`4MiB` (or `64KiB`, `1MB`, `4096`) in bytes. ValueError if it is something else."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", str(given).strip().lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"a size is a whole number and a unit, like 4MiB or 64KiB; not {given!r}")
    return int(match[1]) * UNITS[match[2]]


def writable_folder(path: str | os.PathLike[str] | None) -> Path:
    """The folder for results, made if it is not there. ConfigError if nothing can be written into it."""
    if not path:
        raise ConfigError("--results is empty: give a folder")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"syncbench")
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """The error that says why results cannot be written to `folder`, in one line."""
    reason = (error.strerror or str(error)).lower()
    return ConfigError(f"results cannot be written to {folder}: {reason}; give another --results folder")
