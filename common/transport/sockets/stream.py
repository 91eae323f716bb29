"""Plain byte streams beside ZeroMQ's sockets, for what is large.

libzmq cannot receive in place: each large message is a fresh allocation and one more copy. So what is lent and large
flows through a stream of its own, behind its header, from the lender's memory into the receiver's. One stream for each
ordered pair of ranks, opened by the sender when it is first needed.

The first that a sender says is a *hello*: the receiver's token, which only the job's ranks know, and its rank. Until
then whoever connects is a stranger, of whom nothing else is read. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import secrets
import socket
from collections import deque
from collections.abc import Iterable
from itertools import islice

from common.transport.wire import HEADER_BYTES

TOKEN_BYTES = 16
HELLO_BYTES = TOKEN_BYTES + 2  # token, then the sender's rank
BACKLOG = 512
STRANGERS = 64  # that may be connected at a time; the oldest has to go for one more
# Bytes. Of a unix socket: with the default, 208 KiB, the ends wake each other more often. Of tcp: by itself it grows to
# 4 MiB, and what lies that long between two copies has left the cache.
SEND_BUFFER = {socket.AF_UNIX: 2 << 20, socket.AF_INET: 1 << 19, socket.AF_INET6: 1 << 19}
WAKE_AT = 1 << 18  # bytes that make it worth waking up a receiver who needs as many: well below what a sender may queue
AT_ONCE = 16  # pieces that are sent in one call
_UNDER_WAY = (errno.EALREADY, errno.EAGAIN)
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)


def _socket(address: str) -> tuple[socket.socket, str | tuple[str, int]]:
    """A socket that never waits, and where it is to be bound or connected."""
    kind, _, place = address.partition("://")
    where: str | tuple[str, int] = place
    family = socket.AF_UNIX
    if kind == "tcp":
        host, _, port = place.rpartition(":")
        host = host.strip("[]")
        where = host, 0 if port == "*" else int(port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
    each = socket.socket(family, socket.SOCK_STREAM)
    each.setblocking(False)
    return each, where


class Outflow:
    """The sender's end: what has been offered, and the socket that takes it piece by piece."""

    def __init__(self, door: str, rank: int) -> None:
        """A stream to `door`, as the receiver's `Listener.door` says, from `rank`. Raises OSError."""
        token, _, address = door.partition(" ")
        self.queue = deque([memoryview(bytes.fromhex(token) + rank.to_bytes(2, "little"))])
        self.socket, self._where = _socket(address)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER[self.socket.family])
            if self.socket.family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._connected = False

    def offer(self, *data: memoryview) -> None:
        """Send `data`, flat bytes, after all that was offered before; what does not fit waits for `pump`."""
        self.queue += data
        self.pump()

    def pump(self) -> None:
        """Send what can be sent without waiting. Raises OSError if the peer is gone."""
        queue = self.queue
        if not self._connected and not self._connect():
            return
        while queue:
            try:
                sent = self.socket.sendmsg(islice(queue, AT_ONCE))
            except BlockingIOError:
                return
            while queue and sent >= len(queue[0]):
                sent -= len(queue.popleft())
            if sent:
                queue[0] = queue[0][sent:]

    def _connect(self) -> bool:
        """Whether the connection is there. It may take its time: strangers can fill the queue at a port."""
        error = self.socket.connect_ex(self._where)
        if error == errno.EINPROGRESS:
            error = self.socket.connect_ex(self._where)  # on loopback it is there at once, but said to be under way
        if error in _UNDER_WAY:
            return False
        if error not in (0, errno.EISCONN):
            raise OSError(error, os.strerror(error))
        self._connected = True
        return True

    def close(self) -> None:
        """Let go; what was offered and not sent is lost."""
        self.queue.clear()
        self.socket.close()


class Inflow:
    """The receiver's end of a connection that has said its hello."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._head = bytearray(HEADER_BYTES)
        self._missing = HEADER_BYTES  # bytes of it
        self._wake_at = 1

    def head(self) -> bytes | None:
        """The header that comes next, once all of it is there; then its payload has to be read. OSError as `read`."""
        with contextlib.suppress(BlockingIOError):
            self._missing -= self.read(memoryview(self._head)[-self._missing :])
            if not self._missing:
                self._missing = HEADER_BYTES
                return bytes(self._head)
        return None

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
        """Let go; the sender learns it when it sends more."""
        self.socket.close()


class Listener:
    """Where the streams of `senders` come in, one each. `door` is for them alone: its token is what lets them in."""

    def __init__(self, address: str, senders: Iterable[int]) -> None:
        """Listen at `address` (address.py). Raises OSError."""
        self.socket, where = _socket(address)
        try:
            self.socket.bind(where)
            self.socket.listen(BACKLOG)
        except BaseException:
            self.socket.close()
            raise
        self._path = where if isinstance(where, str) else None
        if self._path is None:
            address = f"{address.rpartition(':')[0]}:{self.socket.getsockname()[1]}"
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self.door = f"{self._token.hex()} {address}"
        self._expected = set(senders)
        self._strangers: dict[socket.socket, bytes] = {}  # connected, and what they have said so far; oldest first

    @property
    def sockets(self) -> list[socket.socket]:
        """Those that `admit` reads: worth a call when one of them can be read."""
        return [self.socket, *self._strangers]

    def admit(self) -> dict[int, Inflow]:
        """The streams that have come in since, by sender. OSError if no more files can be opened."""
        admitted: dict[int, Inflow] = {}
        for connection in list(self._strangers):
            self._hear(connection, admitted)
        for _ in range(STRANGERS):  # at a time: a flood of them must not keep us here
            try:
                connection, _ = self.socket.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    raise
                break  # nobody is there, or not any longer
            connection.setblocking(False)
            if len(self._strangers) == STRANGERS:
                self._turn_away(next(iter(self._strangers)))
            self._strangers[connection] = b""
            self._hear(connection, admitted)
        return admitted

    def _hear(self, connection: socket.socket, admitted: dict[int, Inflow]) -> None:
        """Read more of a stranger's hello; once it is whole, let it in or turn it away."""
        said = self._strangers[connection]
        try:
            more = connection.recv(HELLO_BYTES - len(said))
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._turn_away(connection)
            return
        said = self._strangers[connection] = said + more
        if len(said) < HELLO_BYTES:
            return
        rank = int.from_bytes(said[TOKEN_BYTES:], "little")
        if not hmac.compare_digest(said[:TOKEN_BYTES], self._token) or rank not in self._expected:
            self._turn_away(connection)
            return
        del self._strangers[connection]
        self._expected.remove(rank)
        admitted[rank] = Inflow(connection)

    def _turn_away(self, stranger: socket.socket) -> None:
        del self._strangers[stranger]
        stranger.close()

    def close(self) -> None:
        """Let go of the strangers and the socket, and remove its file."""
        for connection in self._strangers:
            connection.close()
        self._strangers.clear()
        self.socket.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self._path = None
