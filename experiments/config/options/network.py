"""How ranks exchange messages: transport, hosts, links of virtual time, and in what pieces the gradient goes."""

from dataclasses import dataclass

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.runtime.job import AUTO, BUCKET, ONE_BUCKET, TRANSPORTS, VIRTUAL
from common.transport.virtual.link_spec import format_link, parse_link
from common.transport.virtual.network import Network
from common.types import FLOAT_BYTES
from common.util.values import byte_size
from experiments.config.checks import at_least, on_off, rule, understood
from experiments.config.declaration import option
from experiments.config.options.ranks import JobOptions
from experiments.machine.environment import cores

EXAMPLE = "like 1gbit,50us"


@dataclass(frozen=True)
class NetworkOptions(JobOptions):
    """How messages travel"""

    transport: str = option(
        AUTO,
        f"{', '.join(TRANSPORTS)}, or {AUTO} (shm where it works); {VIRTUAL}: in virtual time",
        choices=(AUTO, *TRANSPORTS, VIRTUAL),
    )
    link: str | None = option(
        None,
        f"link of each machine in virtual time, {EXAMPLE}",
        unit="BANDWIDTH,LATENCY",
        check=understood(parse_link),
        has_commas=True,
    )
    hosts: int = option(1, "hosts to share the ranks out over, with tcp between them", check=at_least(1))
    bucket: int | None = option(
        None,
        "how much of the gradient is synchronised at once, like 4MiB; null: chosen with --overlap",
        unit="BYTES",
        read=byte_size,
        check=rule(f"{FLOAT_BYTES} bytes, one float32, or more, like 4MiB", lambda nbytes: nbytes >= FLOAT_BYTES),
    )
    overlap: str = option(
        "auto",
        "synchronise a bucket while backward continues: {choices}; auto: on if there are cores to spare",
        choices=("auto", "on", "off"),
        read=on_off,
    )


def transport_named(name: str) -> str:
    """Return the transport that `name` stands for, `auto` included. ConfigError if this machine cannot use it."""
    from common.transport.shm.arena import reason_against  # late: --help does not need it

    reason = reason_against()
    if name == "shm" and reason:
        raise ConfigError(f"--transport shm cannot be used here: {reason}; use ipc, or auto")
    if name == AUTO:
        return "ipc" if reason else "shm"
    return name


def network(options: NetworkOptions) -> str:
    """Return the transport, and check hosts and interface against it."""
    transport = transport_named(options.transport)
    if options.hosts > options.workers:
        raise ConfigError(f"--hosts {options.hosts} for {options.workers} workers: each needs one at least")
    if options.hosts > 1 and transport == "ipc":
        raise ConfigError("--hosts needs --transport shm, to have tcp between hosts, or tcp for all")
    if transport == "tcp" or options.hosts > 1:
        from common.transport.sockets.address import tcp_address  # late: zmq

        tcp_address(options.interface)
    return transport


def host_count(options: NetworkOptions, traits: EngineTraits) -> int:
    """Return over how many hosts the ranks are shared out: one process runs on one host."""
    if options.hosts > 1 and traits.own_transport is not None:
        raise ConfigError(f"--hosts is about our transports, {options.strategy!r} brings its own: leave it out")
    return 1 if traits.one_process else options.hosts


def buckets(options: NetworkOptions, servers: int) -> tuple[str, int]:
    """Return whether to overlap, and a bucket's bytes: without a spare core a worker, the whole gradient at its end."""
    overlap = options.overlap
    if overlap == "auto":
        overlap = "on" if options.transport != VIRTUAL and cores() >= 2 * options.workers + servers else "off"
    whole = overlap == "off" and options.overlap == "auto"
    return overlap, (ONE_BUCKET if whole else BUCKET) if options.bucket is None else options.bucket


def link(options: NetworkOptions) -> str | None:
    """Return `--link` in its one spelling; None where time is real."""
    given = options.link
    if given is not None and options.transport != VIRTUAL:
        raise ConfigError("--link is the network of virtual time: add --transport virtual, or leave --link out")
    if given is None and options.transport == VIRTUAL:
        raise ConfigError(f"--transport virtual needs a network: give --link BANDWIDTH,LATENCY, {EXAMPLE}")
    return None if given is None else format_link(parse_link(given))


def virtual_network(given: str) -> Network:
    """Return the network that `--link` asks for. Raises ConfigError if it is none."""
    understood(parse_link)("--link", given)
    return parse_link(given)
