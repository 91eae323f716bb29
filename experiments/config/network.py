"""How ranks exchange messages: transport, hosts, deadline, and in what pieces the gradient goes."""

from __future__ import annotations

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.runtime.job import AUTO, BUCKET, TRANSPORTS, VIRTUAL, WHOLE
from common.types import FLOAT_BYTES
from experiments.config.checks import at_least_one, known, one_of, positive
from experiments.config.options import AUTO_ON_OFF, RunOptions
from experiments.machine.environment import cores


def transport_named(name: str) -> str:
    """The transport behind `name`, `auto` included. ConfigError if there is none, or this machine cannot do it."""
    from common.transport.shm.arena import reason_against

    known("transport", name, (AUTO, *TRANSPORTS, VIRTUAL))
    reason = reason_against()
    if name == "shm" and reason:
        raise ConfigError(f"--transport shm cannot be used here: {reason}; use ipc, or auto")
    if name == AUTO:
        return "ipc" if reason else "shm"
    return name


def network(options: RunOptions) -> str:
    """The transport; hosts, interface and deadline go with it."""
    transport = transport_named(options.transport)
    positive("deadline", options.deadline)
    at_least_one("hosts", options.hosts)
    if options.hosts > options.workers:
        raise ConfigError(f"--hosts {options.hosts} for {options.workers} workers: each needs one at least")
    if options.hosts > 1 and transport == "ipc":
        raise ConfigError("--hosts needs --transport shm, to have tcp between hosts, or tcp for all")
    if transport == "tcp" or options.hosts > 1:
        from common.transport.sockets.address import tcp_address

        tcp_address(options.interface)
    return transport


def host_count(options: RunOptions, traits: EngineTraits) -> int:
    """Over how many hosts the ranks are shared out: one process is on one."""
    if options.hosts > 1 and traits.own_transport is not None:
        raise ConfigError(f"--hosts is about our transports, {options.strategy!r} brings its own: leave it out")
    return 1 if traits.one_process else options.hosts


def check_buckets(options: RunOptions) -> None:
    """What can be said before the number of servers is known."""
    one_of("overlap", options.overlap, AUTO_ON_OFF)
    if options.bucket is not None and options.bucket < FLOAT_BYTES:
        raise ConfigError(f"--bucket is {options.bucket} bytes: give {FLOAT_BYTES}, one float32, or more, like 4MiB")


def automatic(options: RunOptions) -> tuple[str, ...]:
    """Of the settings that `buckets` decides, those that were left to it."""
    overlap = ("overlap",) if options.overlap == "auto" else ()
    return (*overlap, "bucket") if options.bucket is None else overlap


def buckets(options: RunOptions, servers: int) -> tuple[str, int]:
    """Whether to overlap, and the size of a bucket in bytes.

    Overlap takes a core beside each worker's. Without one, the communication thread takes time from backward, and
    buckets cost more than they hide: then the whole gradient is one, after backward.
    """
    overlap = options.overlap
    if overlap == "auto":
        overlap = "on" if options.transport != VIRTUAL and cores() >= 2 * options.workers + servers else "off"
    whole = overlap == "off" and options.overlap == "auto"
    return overlap, (WHOLE if whole else BUCKET) if options.bucket is None else options.bucket
