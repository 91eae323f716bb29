"""Run a program on every rank of a job in one process, in virtual time."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from common.context import Context, Optimizer
from common.errors import PeerFailed, RunError
from common.place import Place
from common.transport.virtual.endpoint import VirtualEndpoint
from common.transport.virtual.network import Fault, Network
from common.transport.virtual.scheduler import Scheduler
from common.transport.virtual.state import Killed, Port, RankState
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import Vector


@dataclass(slots=True)
class Outcome:
    """The result of each rank (None if it failed), its error, its meter, and the moment when the last rank ended."""

    results: list[Any]
    errors: dict[int, BaseException]  # by rank, in the order in which they happened
    meters: list[MeteredEndpoint]
    seconds: float = 0.0

    def raise_first(self) -> None:
        """Raise the error that happened first, if there was one."""
        for error in self.errors.values():
            raise error


def simulate(
    program: Callable[[Context], Any],
    ranks: int,
    *,
    servers: int = 0,
    network: Network = Network(),  # noqa: B008 - frozen
    faults: Iterable[Fault] = (),
    deadline: float = 60.0,
    optimizer: Callable[[Vector], Optimizer] | None = None,
    check: bool = True,
    hosts: Sequence[Sequence[int]] | None = None,
    machines: Iterable[Iterable[int]] = (),
    place: Callable[[int, str], Place] = Place,
) -> Outcome:
    """Run `program(ctx)` on every rank in virtual time. The last `servers` ranks are servers.

    `deadline` is in virtual seconds. With `check`, raise the first error of any rank; a Deadlock is always raised.
    `hosts` is passed to the context. The ranks of each of the `machines` share its link; any other rank has one of its
    own. `place` makes the place of a rank in a role.
    """
    scheduler = Scheduler(network, tuple(faults), deadline)
    results: list[Any] = [None] * ranks
    meters: list[MeteredEndpoint] = []
    workers = ranks - servers
    ports = {rank: port for machine in machines for port in [Port()] for rank in machine}

    def run_rank(rank: RankState, ctx: Context) -> None:
        failed: PeerFailed | None = None
        try:
            results[ctx.rank] = program(ctx)
        except Killed:
            failed = PeerFailed(f"killed at {scheduler.now:g} s of virtual time", **ctx.place.fields())
            scheduler.errors[ctx.rank] = failed
        except Exception as error:
            scheduler.errors[ctx.rank] = error
            cause = error.cause if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
            failed = error if isinstance(error, PeerFailed) else PeerFailed(cause, **ctx.place.fields())
        finally:
            rank.alive = False
            scheduler.ranks_alive -= 1
        if failed is not None:
            scheduler.announce_failure(rank, failed)

    for number in range(ranks):
        rank = RankState(place(number, "worker" if number < workers else "server"), port=ports.get(number) or Port())
        meters.append(MeteredEndpoint(VirtualEndpoint(scheduler, rank)))
        ctx = Context(meters[-1], workers=workers, servers=servers, optimizer=optimizer, hosts=hosts)
        scheduler.ranks.append(rank)
        scheduler.start_fiber(rank, functools.partial(run_rank, rank, ctx))
    for fault in scheduler.kills:
        scheduler.schedule(max(0.0, fault.at), scheduler.ranks[fault.rank], scheduler.kill)
    scheduler.run()
    outcome = Outcome(results, scheduler.errors, meters, scheduler.now)
    if check:
        outcome.raise_first()
    return outcome
