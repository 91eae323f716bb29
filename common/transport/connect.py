"""Transports by name (`common.runtime.job.TRANSPORTS`): what a rank opens to reach the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import ConfigError
from common.place import Place
from common.runtime.rendezvous import Rendezvous, file_store
from common.transport.base import Endpoint
from common.transport.routed import RoutedEndpoint
from common.transport.shm.arena import reason_against
from common.transport.shm.endpoint import ShmEndpoint
from common.transport.sockets.address import ipc_address, tcp_address
from common.transport.sockets.endpoint import ZmqEndpoint


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
    crew: Sequence[int] = (),
    watch: Callable[[], None] = lambda: None,
) -> Endpoint:
    """This rank's endpoint of the job whose ranks meet in `home`, a private folder (0700) of theirs alone.

    `job` is a random 64-bit id that they share. `hosts` has the ranks of each host, all on one by default: with `shm`,
    memory is shared inside a host, and between hosts it is tcp that carries the messages. `crew` has the ranks that
    share this one's process: between them it is shared memory too, whatever the transport, where the machine can do it.
    `watch` raises when the job is over. Raises RunError, ConfigError.
    """
    store = file_store(home, ranks)

    def sockets() -> ZmqEndpoint:
        address = ipc_address(home) if transport == "ipc" else tcp_address(interface)
        meeting = Rendezvous(store, place, deadline, "far" if transport == "shm" else "rank")
        return ZmqEndpoint(place, ranks, address, meeting, job=job, deadline=deadline, watch=watch)

    many = hosts is not None and len(hosts) > 1
    if transport == "ipc" and many:
        raise ConfigError("ipc stays on one host: between hosts it takes shm, which goes with tcp, or tcp")
    close_by = frozenset(range(ranks))
    if transport != "shm":
        close_by = frozenset(crew if len(crew) > 1 and reason_against() is None else ())
    elif hosts is not None and many:
        close_by = frozenset(next(host for host in hosts if place.rank in host))
    if not close_by:
        return sockets()
    meeting = Rendezvous(store, place, deadline, "rank" if transport == "shm" else "near")
    near = ShmEndpoint(place, ranks, meeting, deadline=deadline, watch=watch)
    near.crew = frozenset(crew) - {place.rank}
    if len(close_by) == ranks:
        return near
    try:
        far = sockets()
    except BaseException:
        near.close()
        raise
    return RoutedEndpoint(near, far, close_by)
