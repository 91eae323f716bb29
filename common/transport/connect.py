"""Open a rank's endpoint of a transport, by the name of the transport (`common.runtime.job.TRANSPORTS`)."""

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
    """Return this rank's endpoint of a job with `ranks` ranks. They meet in `home`, their private folder (0700).

    `job` is a random 64-bit id that the ranks share. `hosts` has the ranks of each host, by default one; ranks of
    different hosts use tcp under `shm`. `crew` has the ranks of this process, which share memory under any transport if
    the machine can do it. `watch` raises when the job is over. Raises RunError, ConfigError.
    """
    store = file_store(home, ranks)

    def open_sockets() -> ZmqEndpoint:
        address = ipc_address(home) if transport == "ipc" else tcp_address(interface)
        rendezvous = Rendezvous(store, place, deadline, "far" if transport == "shm" else "rank")
        return ZmqEndpoint(ranks, address, rendezvous, job, watch)

    several_hosts = hosts is not None and len(hosts) > 1
    if transport == "ipc" and several_hosts:
        raise ConfigError("ipc stays on one host: between hosts it takes shm, which goes with tcp, or tcp")
    near_ranks = frozenset(range(ranks))  # this rank and those with which it shares memory
    if transport != "shm":
        near_ranks = frozenset(crew if len(crew) > 1 and reason_against() is None else ())
    elif several_hosts:
        near_ranks = frozenset(next(host for host in hosts or () if place.rank in host))
    if not near_ranks:
        return open_sockets()
    rendezvous = Rendezvous(store, place, deadline, "rank" if transport == "shm" else "near")
    near = ShmEndpoint(ranks, rendezvous, watch)
    near.crew = frozenset(crew) - {place.rank}
    if len(near_ranks) == ranks:
        return near
    try:
        return RoutedEndpoint(near, open_sockets(), near_ranks)
    except BaseException:
        near.close()
        raise
