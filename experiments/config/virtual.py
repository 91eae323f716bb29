"""What only virtual time has, a network of one's choice, and what it does without."""

from __future__ import annotations

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.runtime.job import VIRTUAL
from common.transport.virtual.link_spec import format_link, parse_link
from common.transport.virtual.network import Network
from experiments.config.options import RunOptions

EXAMPLE = "like 1gbit,50us"


def link(options: RunOptions) -> str | None:
    """`--link` in the one way to write it; None where time is real."""
    given = options.link
    if options.transport != VIRTUAL:
        if given is not None:
            raise ConfigError("--link is the network of virtual time: add --transport virtual, or leave --link out")
        return None
    if given is None:
        raise ConfigError(f"--transport virtual needs a network: give --link BANDWIDTH,LATENCY, {EXAMPLE}")
    return format_link(network(given))


def network(given: str) -> Network:
    """The network that `--link` asks for. ConfigError if it is none."""
    try:
        return parse_link(given)
    except ValueError as error:
        raise ConfigError(f"--link: {error}") from None


def check_virtual(options: RunOptions, traits: EngineTraits) -> None:
    """Whether the job can be done in virtual time, if that is what was asked for."""
    if options.transport != VIRTUAL:
        return
    if traits.own_transport is not None:
        why = "moves its bytes itself, which takes real time"
        raise ConfigError(f"--transport virtual: strategy {options.strategy!r} {why}; use one of ours, like ring")
    for option, given, why in (
        ("overlap on", options.overlap == "on", "a gradient is there as a whole, when stage train is over"),
        ("on-worker-death continue", options.on_worker_death == "continue", "no worker dies"),
        ("checkpoint-every", options.checkpoint_every, "no server dies"),
        ("restarts", options.restarts, "no server dies"),
    ):
        if given:
            raise ConfigError(f"--{option}: in virtual time {why}; leave it out")
