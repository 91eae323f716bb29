"""Addresses at which a rank listens, in ZeroMQ's form: `ipc://<path>` or `tcp://<host>:<port>`, `*` for a free port.

Each pair (receiver, sender) has an address. A rank's address for itself is where all its peers open their streams.
"""

import ipaddress
from collections.abc import Callable
from pathlib import Path

from common.errors import ConfigError

IPC_PATH_BYTES = 107  # the longest path of a socket that the operating system allows

Addresses = Callable[[int, int], str]


def ipc_address(folder: Path) -> Addresses:
    """Return addresses of unix sockets in `folder`. It must be private (0700): anyone who can enter it can connect."""

    def address(receiver: int, sender: int) -> str:
        path = folder / f"{receiver}-{sender}"
        if len(bytes(path)) > IPC_PATH_BYTES:
            raise ConfigError(f"{path} is too long for a socket ({IPC_PATH_BYTES} bytes): set TMPDIR to a short path")
        return f"ipc://{path}"

    return address


def tcp_address(interface: str = "127.0.0.1") -> Addresses:
    """Return addresses with a free port of a loopback interface. ConfigError for any other interface."""
    try:
        loopback = ipaddress.ip_address(interface).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(f"tcp binds to loopback only, there is no authentication yet: 127.0.0.1, not {interface!r}")
    host = f"[{interface}]" if ":" in interface else interface
    return lambda receiver, sender: f"tcp://{host}:*"
