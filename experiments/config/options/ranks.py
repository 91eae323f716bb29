"""How many workers, servers and processes there are, and where the servers live."""

from dataclasses import dataclass

from common.errors import ConfigError
from common.runtime.job import COLOCATED, DEDICATED, PLACEMENTS
from common.runtime.placement import ranks_by_process
from common.strategy import Traits
from experiments.config.checks import at_least, positive
from experiments.config.declaration import option
from experiments.config.strategies import StrategyOptions

MOST_PROCESSES = 256  # on one machine; more is a typing error, and a matter of virtual time
MOST_VIRTUAL = 1024  # machines in virtual time
MOST_RANKS = 2 * MOST_PROCESSES  # with colocated servers: one a worker


@dataclass(frozen=True)
class RankOptions:
    """Ranks"""

    workers: int = option(4, "worker processes", check=at_least(1))
    servers: int | None = option(None, "parameter servers; null: 1 if the strategy has servers")
    placement: str = option(
        DEDICATED, "of servers: dedicated (a process each) or colocated (a thread in a worker's)", choices=PLACEMENTS
    )


@dataclass(frozen=True)
class ProcessOptions:
    """Processes"""

    threads: int = option(1, "threads of each rank", check=at_least(1))
    deadline: float = option(60.0, "time that a blocking call may take", unit="SECONDS", check=positive)
    interface: str = option("127.0.0.1", "address that tcp uses: loopback only", has_commas=True)


@dataclass(frozen=True)
class JobOptions(ProcessOptions, RankOptions, StrategyOptions):
    """What the options of every other concern are checked against."""


def server_count(options: JobOptions, traits: Traits, virtual: bool) -> int:
    """Return the number of servers, 0 or 1 unless asked for. ConfigError if there are too many ranks."""
    if options.servers and not traits.servers:
        raise ConfigError(f"strategy {options.strategy!r} has no servers: leave --servers out, or use ps-bsp")
    if options.placement == COLOCATED and not traits.servers:
        raise ConfigError(f"strategy {options.strategy!r} has no servers to be colocated: leave --placement out")
    servers = 0 if not traits.servers else 1 if options.servers is None else options.servers
    if traits.servers and servers < 1:
        raise ConfigError(f"--servers is {servers}: {options.strategy!r} needs at least 1")
    processes = len(ranks_by_process(options.workers, servers, options.placement))
    ranks = options.workers + servers
    if virtual and max(processes, servers) > MOST_VIRTUAL:
        raise ConfigError(f"{max(processes, servers)} machines in virtual time: at most {MOST_VIRTUAL}")
    if not virtual and processes > MOST_PROCESSES:
        raise ConfigError(f"{processes} processes on one machine: at most {MOST_PROCESSES}")
    if not virtual and ranks > MOST_RANKS:
        raise ConfigError(f"{ranks} workers and servers on one machine: at most {MOST_RANKS}")
    return servers
