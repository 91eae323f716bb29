"""Where a rank listens, written as ZeroMQ does: `ipc://<path>` or `tcp://<host>:<port>`, `*` for a free port.

There is an address for each (receiver, sender). What a rank has for itself is for the streams of all its peers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from common.errors import ConfigError

IPC_PATH_BYTES = 107  # what the operating system allows for a socket's path

Addresses = Callable[[int, int], str]


def ipc_address(folder: Path) -> Addresses:
    """Addresses of unix sockets in `folder`, which must be private (0700): whoever may enter may connect."""

    def address(receiver: int, sender: int) -> str:
        path = folder / f"{receiver}-{sender}"
        if len(bytes(path)) > IPC_PATH_BYTES:
            raise ConfigError(
                f"{path} is too long for a socket's path ({IPC_PATH_BYTES} bytes): set TMPDIR to a short one"
            )
        return f"ipc://{path}"

    return address


def tcp_address(interface: str = "127.0.0.1") -> Addresses:
    """A free port of a loopback interface. ConfigError for any other: there is no authentication yet."""
    try:
        loopback = ipaddress.ip_address(interface).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(f"tcp binds to loopback only, there is no authentication yet: 127.0.0.1, not {interface!r}")
    host = f"[{interface}]" if ":" in interface else interface
    return lambda receiver, sender: f"tcp://{host}:*"
