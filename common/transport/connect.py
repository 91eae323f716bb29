"""Transports by name (`common.job.TRANSPORTS`): what a rank opens to reach the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.context import Place
from common.rendezvous import Rendezvous, file_store
from common.transport.address import ipc_address, tcp_address
from common.transport.base import Endpoint
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
    watch: Callable[[], None] = lambda: None,
) -> Endpoint:
    """This rank's endpoint of the job whose ranks meet in `home`, a private folder (0700) of theirs alone.

    `job` is a random 64-bit id that they share; `watch` raises when the job is over. Raises RunError, ConfigError.
    """
    rendezvous = Rendezvous(file_store(home, ranks), place, deadline)
    if transport == "shm":
        return ShmEndpoint(place, ranks, rendezvous, deadline=deadline, watch=watch)
    address = tcp_address(interface) if transport == "tcp" else ipc_address(home)
    return ZmqEndpoint(place, ranks, address, rendezvous, job=job, deadline=deadline, watch=watch)
