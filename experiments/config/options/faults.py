"""What is to go wrong, and what the job is to survive: stragglers, deaths of workers, restarts of servers."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.pipeline.straggler import jitter, slow_workers
from common.runtime.job import COLOCATED, VIRTUAL
from common.strategy import Traits
from experiments.config.checks import at_least, joined, not_negative, understood
from experiments.config.declaration import option
from experiments.config.options.network import NetworkOptions

MOST_RESTARTS = 999


def _slow_workers(given: str | Sequence[str]) -> dict[int, float]:
    return slow_workers(joined(given))


@dataclass(frozen=True)
class StragglerOptions(NetworkOptions):
    """Stragglers and deaths of workers"""

    slow_worker: str | Sequence[str] = option(
        "",
        "training takes this rank FACTOR times as long; may be repeated",
        unit="RANK:FACTOR",
        read=joined,
        check=understood(_slow_workers),
        repeated=True,
        has_commas=True,
    )
    jitter: str = option(
        "",
        "seconds that training takes longer, drawn each step: exponential:MEAN or uniform:LOW,HIGH",
        check=understood(jitter),
        has_commas=True,
    )
    train_seconds: float = option(
        0.0,
        "time that training takes each worker at least; the worker sleeps if need be",
        unit="SECONDS",
        check=not_negative,
    )
    on_worker_death: str = option(
        "abort", "abort the run, or continue without the worker (ps-async, ps-ssp)", choices=("abort", "continue")
    )


@dataclass(frozen=True)
class RestartOptions(StragglerOptions):
    """Servers that come back"""

    checkpoint_every: int = option(0, "steps after which each server saves its state; 0: never", check=at_least(0))
    restarts: int = option(0, "how often a server that died is started again", check=at_least(0, MOST_RESTARTS))


def stragglers(options: StragglerOptions) -> str:
    """Return `--slow-worker`, however often it was given, as one text. Raises ConfigError, also for the deadline."""
    factors = _slow_workers(options.slow_worker)
    if strangers := [rank for rank in factors if not 0 <= rank < options.workers]:
        raise ConfigError(f"--slow-worker {strangers[0]}: the workers are 0 to {options.workers - 1}")
    drawn = jitter(options.jitter)
    late = drawn.values[-1] if drawn is not None else 0.0  # the most, or the mean
    if (longest := max(factors.values(), default=1.0) * options.train_seconds + late) >= options.deadline:
        raise ConfigError(f"the slowest worker trains for {longest:g} s: give a --deadline above that")
    return joined(options.slow_worker)


def check_worker_deaths(options: StragglerOptions, traits: Traits) -> None:
    """Check that the job can survive the death of a worker, if it is to."""
    if options.on_worker_death == "abort":
        return
    if traits.on_worker_death == "abort":
        cannot = f"strategy {options.strategy!r} cannot go on without a worker"
        raise ConfigError(f"--on-worker-death continue: {cannot}; use ps-async, or ps-ssp with a staleness")
    if options.hosts > 1:
        raise ConfigError("--on-worker-death continue is for one host: leave --hosts out")
    if options.placement == COLOCATED:
        raise ConfigError("--on-worker-death continue: a colocated server dies with its worker; use dedicated ones")


def check_restarts(options: RestartOptions, traits: Traits) -> None:
    """Check that servers can save their state and be started again, if they are to."""
    every, restarts = options.checkpoint_every, options.restarts
    if restarts and not every:
        raise ConfigError(f"--restarts {restarts} needs --checkpoint-every: a server comes back from a checkpoint")
    if every and options.placement == COLOCATED:
        raise ConfigError(
            "a colocated server dies with its worker, which cannot come back: leave --checkpoint-every out"
        )
    if every and traits.on_server_death == "abort":
        why = "servers that cannot come back" if traits.servers else "no servers"
        raise ConfigError(f"strategy {options.strategy!r} has {why}: leave --checkpoint-every out, or use ps-bsp")


def check_virtual(options: RestartOptions, traits: EngineTraits) -> None:
    """Check that the job can run in virtual time, if it is to: nothing dies there."""
    if options.transport != VIRTUAL:
        return
    if traits.own_transport is not None:
        why = "moves its bytes itself, which takes real time"
        raise ConfigError(f"--transport virtual: strategy {options.strategy!r} {why}; use one of ours, like ring")
    for words, given, why in (
        ("overlap on", options.overlap == "on", "the gradient is complete when stage train is over"),
        ("on-worker-death continue", options.on_worker_death == "continue", "no worker dies"),
        ("checkpoint-every", options.checkpoint_every, "no server dies"),
        ("restarts", options.restarts, "no server dies"),
    ):
        if given:
            raise ConfigError(f"--{words}: in virtual time {why}; leave it out")
