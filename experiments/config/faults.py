"""What is to go wrong, and what the job is to survive: stragglers, workers' deaths, servers' restarts."""

from __future__ import annotations

import math

from common.errors import ConfigError
from common.pipeline.straggler import jitter, slow_workers
from common.runtime.job import COLOCATED
from common.strategy import Traits
from experiments.config.checks import one_of
from experiments.config.options import RunOptions

MOST_RESTARTS = 999


def stragglers(options: RunOptions) -> str:
    """`--slow-worker`, however often it was given, as one text."""
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


def check_worker_deaths(options: RunOptions, traits: Traits) -> None:
    """Whether the death of a worker can be survived as it was asked for."""
    one_of("on-worker-death", options.on_worker_death, ("abort", "continue"))
    if options.on_worker_death == "abort":
        return
    if traits.on_worker_death == "abort":
        cannot = f"strategy {options.strategy!r} cannot go on without a worker"
        raise ConfigError(f"--on-worker-death continue: {cannot}; use ps-async, or ps-ssp with a staleness")
    if options.hosts > 1:
        raise ConfigError("--on-worker-death continue is for one host: leave --hosts out")
    if options.placement == COLOCATED:
        raise ConfigError("--on-worker-death continue: a colocated server dies with its worker; use dedicated ones")


def check_trace(options: RunOptions) -> None:
    """Whether the run can be traced, if it is to be."""
    if options.trace and options.restarts:
        raise ConfigError("--trace cannot follow a server that comes back: leave --restarts out")


def check_restarts(options: RunOptions, traits: Traits) -> None:
    """Whether servers can be started again as it was asked for."""
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
    if every and traits.on_server_death == "abort":
        why = "servers that cannot come back" if traits.servers else "no servers"
        raise ConfigError(f"strategy {options.strategy!r} has {why}: leave --checkpoint-every out, or use ps-bsp")
