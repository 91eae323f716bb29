"""Virtual time: its network is the user's choice, and some options make no sense in it."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.runtime.job import VIRTUAL
from common.transport.virtual.link_spec import format_link, parse_link
from common.transport.virtual.network import Network
from experiments.config.checks import understood
from experiments.config.faults import RestartOptions
from experiments.config.option import option

EXAMPLE = "like 1gbit,50us"


@dataclass(frozen=True)
class VirtualOptions(RestartOptions):
    """Virtual time"""

    link: str | None = option(
        None,
        f"link of each machine in virtual time, {EXAMPLE}",
        unit="BANDWIDTH,LATENCY",
        check=understood(parse_link),
        has_commas=True,
    )


def link(options: VirtualOptions) -> str | None:
    """Return `--link` in its one spelling; None where time is real."""
    given = options.link
    if options.transport != VIRTUAL:
        if given is not None:
            raise ConfigError("--link is the network of virtual time: add --transport virtual, or leave --link out")
        return None
    if given is None:
        raise ConfigError(f"--transport virtual needs a network: give --link BANDWIDTH,LATENCY, {EXAMPLE}")
    return format_link(network(given))


def network(given: str) -> Network:
    """Return the network that `--link` asks for. Raises ConfigError if it is none."""
    understood(parse_link)("--link", given)
    return parse_link(given)


def check_virtual(options: VirtualOptions, traits: EngineTraits) -> None:
    """Check that the job can run in virtual time, if it is to."""
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
