"""Plain byte streams beside ZeroMQ's sockets, for large loans.

libzmq cannot receive in place: each large message is a fresh allocation and one more copy. A large loan therefore goes
through a stream of its own, from the lender's memory into the receiver's. Nothing in this file waits.

Theory of operation. Each ordered pair of ranks has at most one stream, which the sender opens at its first large loan.

    OutgoingStream   connecting -> connected; its queue holds the hello, then (header, payload), (header, payload) …
    Listener         listening; a new connection is a stranger -> admitted, or turned away
    IncomingStream   admitted: reads a header, then its payload, then the next header

The *hello* is the receiver's random token, which only the job's ranks know, and the sender's rank. From a stranger the
listener reads no byte beyond a hello, and it admits each expected rank once. At most STRANGERS are connected, and the
oldest is turned away for a new one. `pump` removes from the queue exactly what the kernel has accepted, so the lender's
memory is free when the queue is empty. When one end dies, reading or writing at the other is an OSError.
"""

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
HELLO_BYTES = TOKEN_BYTES + 2  # the token, then the sender's rank
BACKLOG = 512
STRANGERS = 64
# Bytes. With the default of a unix socket, 208 KiB, the ends wake each other more often. The buffer of a tcp socket
# grows to 4 MiB by default, and bytes that lie there between two copies leave the cache.
SEND_BUFFER = {socket.AF_UNIX: 2 << 20, socket.AF_INET: 1 << 19, socket.AF_INET6: 1 << 19}
WAKE_BYTES = 1 << 18  # wake a receiver that needs as many; must be well below what a sender can queue
PIECES_PER_CALL = 16
_STILL_CONNECTING = (errno.EALREADY, errno.EAGAIN)
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)


def _open_socket(address: str) -> tuple[socket.socket, str | tuple[str, int]]:
    """Return a non-blocking socket for `address` (address.py), and the argument for its `bind` or `connect`."""
    kind, _, place = address.partition("://")
    target: str | tuple[str, int] = place
    family = socket.AF_UNIX
    if kind == "tcp":
        host, _, port = place.rpartition(":")
        host = host.strip("[]")
        target = host, 0 if port == "*" else int(port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setblocking(False)
    return opened, target


class OutgoingStream:
    """The sender's end: a socket, and a queue of bytes that it has yet to accept."""

    def __init__(self, invitation: str, rank: int) -> None:
        """Open a stream from `rank` to the `Listener` that made the `invitation`. Raises OSError."""
        token, _, address = invitation.partition(" ")
        self.queue = deque([memoryview(bytes.fromhex(token) + rank.to_bytes(2, "little"))])
        self._connected = False
        self.socket, self._target = _open_socket(address)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER[self.socket.family])
            if self.socket.family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise

    def offer(self, *data: memoryview) -> None:
        """Queue `data`, flat bytes, and send what can be sent without waiting."""
        self.queue += data
        self.pump()

    def pump(self) -> None:
        """Send as much of the queue as can be sent without waiting. OSError if the peer is gone."""
        queue = self.queue
        if not self._connected and not self._connect():
            return
        while queue:
            try:
                sent = self.socket.sendmsg(islice(queue, PIECES_PER_CALL))
            except BlockingIOError:
                return
            while queue and sent >= len(queue[0]):
                sent -= len(queue.popleft())
            if sent:
                queue[0] = queue[0][sent:]

    def _connect(self) -> bool:
        """Return whether the connection is open. This may take several calls: strangers can fill a port's queue."""
        error = self.socket.connect_ex(self._target)
        if error == errno.EINPROGRESS:
            error = self.socket.connect_ex(self._target)  # a loopback connection is open at once, but says otherwise
        if error in _STILL_CONNECTING:
            return False
        if error not in (0, errno.EISCONN):
            raise OSError(error, os.strerror(error))
        self._connected = True
        return True

    def close(self) -> None:
        self.queue.clear()
        self.socket.close()


class IncomingStream:
    """The receiver's end of an admitted connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._header = bytearray(HEADER_BYTES)
        self._missing = HEADER_BYTES  # bytes of the header that have not come
        self._wake_bytes = 1

    def next_header(self) -> bytes | None:
        """Return the next header if it has come; then its payload must be read. OSError if the peer is gone."""
        with contextlib.suppress(BlockingIOError):
            self._missing -= self.read(memoryview(self._header)[-self._missing :])
            if not self._missing:
                self._missing = HEADER_BYTES
                return bytes(self._header)
        return None

    def read(self, view: memoryview) -> int:
        """Receive into `view` and return the number of bytes. BlockingIOError if none has come, OSError as above."""
        count = self.socket.recv_into(view)
        if not count:
            raise ConnectionResetError("its stream has ended")
        return count

    def wake_at(self, nbytes: int) -> None:
        """Let a poll wait for `nbytes`, or for WAKE_BYTES if that is less: fewer wake-ups than one for each packet."""
        if (low := min(nbytes, WAKE_BYTES)) != self._wake_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)
            self._wake_bytes = low

    def close(self) -> None:
        self.socket.close()


class Listener:
    """Admits one stream from each of `senders`. Its `invitation`, token and address, is for them alone."""

    def __init__(self, address: str, senders: Iterable[int]) -> None:
        """Listen at `address` (address.py). Raises OSError."""
        self.socket, target = _open_socket(address)
        try:
            self.socket.bind(target)
            self.socket.listen(BACKLOG)
        except BaseException:
            self.socket.close()
            raise
        self._path = target if isinstance(target, str) else None
        if self._path is None:
            address = f"{address.rpartition(':')[0]}:{self.socket.getsockname()[1]}"
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self.invitation = f"{self._token.hex()} {address}"
        self._expected = set(senders)
        self._strangers: dict[socket.socket, bytes] = {}  # what each has sent of its hello; oldest connection first

    def files(self) -> list[int]:
        """Return the files to poll: call `admit` when one of them can be read."""
        return [listening.fileno() for listening in (self.socket, *self._strangers)]

    def admit(self) -> dict[int, IncomingStream]:
        """Return the streams admitted since the last call, by sender. OSError if no more files can be opened."""
        admitted: dict[int, IncomingStream] = {}
        for connection in list(self._strangers):
            self._read_hello(connection, admitted)
        for _ in range(STRANGERS):  # bounded: a flood of strangers must not keep this rank here
            try:
                connection, _ = self.socket.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    raise
                break  # nobody waits, or not any longer
            connection.setblocking(False)
            if len(self._strangers) == STRANGERS:
                self._turn_away(next(iter(self._strangers)))
            self._strangers[connection] = b""
            self._read_hello(connection, admitted)
        return admitted

    def _read_hello(self, connection: socket.socket, admitted: dict[int, IncomingStream]) -> None:
        """Read more of a stranger's hello. When it is complete, admit the stranger or turn it away."""
        hello = self._strangers[connection]
        try:
            more = connection.recv(HELLO_BYTES - len(hello))
        except BlockingIOError:
            return
        except OSError:
            more = b""
        hello = self._strangers[connection] = hello + more
        if more and len(hello) < HELLO_BYTES:
            return
        rank = int.from_bytes(hello[TOKEN_BYTES:], "little")
        if more and hmac.compare_digest(hello[:TOKEN_BYTES], self._token) and rank in self._expected:
            del self._strangers[connection]
            self._expected.remove(rank)
            admitted[rank] = IncomingStream(connection)
        else:
            self._turn_away(connection)

    def _turn_away(self, stranger: socket.socket) -> None:
        del self._strangers[stranger]
        stranger.close()

    def close(self) -> None:
        """Disconnect the strangers, stop listening, and remove the socket's file."""
        for connection in self._strangers:
            connection.close()
        self._strangers.clear()
        self.socket.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self._path = None
