"""How many workers, servers and processes there are, and where the servers live."""

from __future__ import annotations

from common.errors import ConfigError
from common.runtime.job import COLOCATED, PLACEMENTS, VIRTUAL
from common.runtime.placement import ranks_by_process
from common.strategy import Traits
from experiments.config.checks import at_least_one, known
from experiments.config.options import RunOptions

MOST_PROCESSES = 256  # on one machine; more is a typing error, and virtual time's business
MOST_VIRTUAL = 1024  # machines in virtual time
MOST_RANKS = 2 * MOST_PROCESSES  # with colocated servers: one a worker


def check_workers(options: RunOptions) -> None:
    """What can be said before the strategy is known."""
    known("placement", options.placement, PLACEMENTS)
    at_least_one("workers", options.workers)
    at_least_one("threads", options.threads)


def server_count(options: RunOptions, traits: Traits) -> int:
    """One server unless more were asked for, none for a strategy without; and no more ranks than a machine can bear."""
    if not traits.servers:
        if options.servers:
            raise ConfigError(f"strategy {options.strategy!r} has no servers: leave --servers out, or use ps-bsp")
        if options.placement == COLOCATED:
            raise ConfigError(f"strategy {options.strategy!r} has no servers to be colocated: leave --placement out")
    servers = 0 if not traits.servers else 1 if options.servers is None else options.servers
    if traits.servers and servers < 1:
        raise ConfigError(f"--servers is {servers}: {options.strategy!r} needs at least 1")
    processes = len(ranks_by_process(options.workers, servers, options.placement))
    if options.transport == VIRTUAL:
        if max(processes, servers) > MOST_VIRTUAL:
            raise ConfigError(f"{max(processes, servers)} machines in virtual time: at most {MOST_VIRTUAL}")
        return servers
    if processes > MOST_PROCESSES:
        raise ConfigError(f"{processes} processes on one machine: at most {MOST_PROCESSES}")
    if (ranks := options.workers + servers) > MOST_RANKS:
        raise ConfigError(f"{ranks} workers and servers on one machine: at most {MOST_RANKS}")
    return servers
