"""Transports by name (`common.job.TRANSPORTS`): what a rank opens to reach the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.context import Place
from common.rendezvous import Rendezvous, file_store
from common.transport.address import ipc_address, tcp_address
from common.transport.base import Endpoint
from common.transport.process import ProcessEndpoint
from common.transport.routed import Routed
from common.transport.shm import ShmEndpoint
from common.transport.zmq import ZmqEndpoint


def connect(
    transport: str,
    place: Place,
    ranks: int,
    home: Path,
    *,
    job: int,
    deadline: float,
    interface: str = "127.0.0.1",
    hosts: Sequence[Sequence[int]] | None = None,
    watch: Callable[[], None] = lambda: None,
) -> Endpoint:
    """This rank's endpoint of the job whose ranks meet in `home`, a private folder (0700) of theirs alone.

    `job` is a random 64-bit id that they share. `hosts` has the ranks of each host, all on one by default: between
    hosts it is tcp that carries the messages. `watch` raises when the job is over. Raises RunError, ConfigError.
    """
    store = file_store(home, ranks)
    how = _Wanted(place, ranks, home, job, deadline, interface, watch)
    near = how.endpoint(transport, Rendezvous(store, place, deadline))
    if hosts is None or len(hosts) == 1 or transport == "tcp":
        return near
    try:
        far = how.endpoint("tcp", Rendezvous(store, place, deadline, "far"))
    except BaseException:
        near.close()
        raise
    return Routed(near, far, frozenset(next(host for host in hosts if place.rank in host)))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What all endpoints of a rank have in common."""

    place: Place
    ranks: int
    home: Path
    job: int
    deadline: float
    interface: str
    watch: Callable[[], None]

    def endpoint(self, transport: str, rendezvous: Rendezvous) -> ProcessEndpoint:
        place, ranks = self.place, self.ranks
        if transport == "shm":
            return ShmEndpoint(place, ranks, rendezvous, deadline=self.deadline, watch=self.watch)
        address = tcp_address(self.interface) if transport == "tcp" else ipc_address(self.home)
        return ZmqEndpoint(place, ranks, address, rendezvous, job=self.job, deadline=self.deadline, watch=self.watch)
