"""Plain byte streams beside ZeroMQ's sockets, for what is large.

libzmq cannot receive in place: each large message is a fresh allocation and one more copy. So what is lent and large
flows through a stream of its own, from the lender's memory into the receiver's, and ZeroMQ carries the header that
announces it. One stream for each ordered pair of ranks, opened by the sender when it is first needed.

A stream moves while its owner is in a call of the endpoint, as long as there is something to wait for: nothing is
copied, so nothing can be left to a thread while the owner computes.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import select
import socket
from collections import deque
from pathlib import Path

TOKEN_BYTES = 16
HELLO_BYTES = TOKEN_BYTES + 2  # token, then the sender's rank
BACKLOG = 512
SEND_BUFFER = 2 << 20  # bytes, of a unix socket: with the default, 208 KiB, the ends wake each other more often
WAKE_AT = 1 << 18  # bytes that make it worth waking up a receiver who needs as many


class Outflow:
    """The sender's end: what has been offered, and the socket that takes it piece by piece."""

    def __init__(self, address: str, rank: int) -> None:
        """Connect to `address`, as `Listener.address` gave it, as `rank`. Raises OSError."""
        place, token = address.rsplit(" ", 1)
        if place.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            target: str | tuple[str, int] = place
        else:
            host, port = place.rsplit(":", 1)
            self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target = host, int(port)
        try:
            self.socket.connect(target)
            self.socket.sendall(bytes.fromhex(token) + rank.to_bytes(2, "little"))
        except BaseException:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.queue: deque[memoryview] = deque()

    def offer(self, data: memoryview) -> None:
        """Send `data`, flat bytes, after all that was offered before; what does not fit waits for `pump`."""
        self.queue.append(data)
        if len(self.queue) == 1:
            self.pump()

    def pump(self) -> None:
        """Send what can be sent without waiting. Raises OSError if the peer is gone."""
        queue = self.queue
        while queue:
            try:
                sent = self.socket.send(queue[0])
            except BlockingIOError:
                return
            if sent < len(queue[0]):
                queue[0] = queue[0][sent:]
            else:
                queue.popleft()

    def close(self) -> None:
        self.socket.close()


class Inflow:
    """The receiver's end."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._wake_at = 1

    def read(self, view: memoryview) -> int:
        """Receive into the start of `view` what is there; returns how many bytes, at least one.

        Raises BlockingIOError if there is nothing yet, OSError if the peer is gone.
        """
        count = self.socket.recv_into(view)
        if not count:
            raise ConnectionResetError("its stream has ended")
        return count

    def wake_at(self, nbytes: int) -> None:
        """Let a poll wait for `nbytes`, or for many: each wake-up costs, and reading little by little wakes often."""
        if (low := min(nbytes, WAKE_AT)) != self._wake_at:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)
            self._wake_at = low

    def close(self) -> None:
        self.socket.close()


class Listener:
    """Where a rank's peers connect their streams. `address` is for them alone: it holds the token that lets them in."""

    def __init__(self, where: Path | str) -> None:
        """Listen at a path in a private folder, or at a free port of a loopback interface. Raises OSError."""
        token = secrets.token_bytes(TOKEN_BYTES)
        if isinstance(where, Path):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bound: str | tuple[str, int] = str(where)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_STREAM)
            bound = where, 0
        try:
            self.socket.bind(bound)
            self.socket.listen(BACKLOG)
        except BaseException:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        name = str(where) if isinstance(where, Path) else "{}:{}".format(*self.socket.getsockname()[:2])
        self.address = f"{name} {token.hex()}"
        self._token = token
        self._strangers: dict[socket.socket, bytes] = {}  # connected, and what they have said so far

    def accept(self, seconds: float) -> dict[int, Inflow]:
        """The streams of the ranks that have connected since; waits up to `seconds` for something to happen."""
        poll = select.poll()
        for each in (self.socket, *self._strangers):
            poll.register(each, select.POLLIN)
        if self.socket.fileno() in dict(poll.poll(1000 * seconds)):
            with contextlib.suppress(OSError):  # it has hung up again
                connection, _ = self.socket.accept()
                connection.setblocking(False)
                self._strangers[connection] = b""
        flows = {}
        for connection in list(self._strangers):
            hello = self._listen(connection)
            if hello is not None and len(hello) == HELLO_BYTES:
                del self._strangers[connection]
                if hmac.compare_digest(hello[:TOKEN_BYTES], self._token):
                    flows[int.from_bytes(hello[TOKEN_BYTES:], "little")] = Inflow(connection)
                else:
                    connection.close()
        return flows

    def _listen(self, connection: socket.socket) -> bytes | None:
        """What a stranger has said so far; None if it said nothing new, or is gone."""
        said = self._strangers[connection]
        try:
            more = connection.recv(HELLO_BYTES - len(said))
        except BlockingIOError:
            return None
        except OSError:
            more = b""
        if not more:
            del self._strangers[connection]
            connection.close()
            return None
        self._strangers[connection] = said + more
        return said + more

    def close(self) -> None:
        for connection in self._strangers:
            connection.close()
        self.socket.close()
        if self.socket.family == socket.AF_UNIX:
            with contextlib.suppress(OSError):
                os.unlink(self.address.rsplit(" ", 1)[0])
