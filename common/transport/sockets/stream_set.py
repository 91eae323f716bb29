"""All streams of one rank.

Theory of operation. No thread moves a stream: its rank does, inside a call of the endpoint. Every wait of the endpoint
calls `pump`, which sends on all that the kernel accepts, so two ranks that wait for each other still exchange their
loans. While the rank computes, the rest of a loan stands still. `unfinished` has the streams with something left to
send; a loan is over when its stream leaves it.

Only the next `lend` or `settle` to a receiver in `_lost_receivers` raises; a wait for another rank goes on. A sender
whose stream ends between two messages moves to `_ended`: its messages in ZeroMQ's queue may still come. A stream that
ends within a payload is PeerFailed.
"""

import select
import socket
import time
from collections.abc import Iterable

from common.errors import RunError
from common.transport.base import Bytes
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.sockets.stream import IncomingStream, Listener, OutgoingStream


class StreamSet:
    """The streams of `owner`, whose `check` ends a wait."""

    def __init__(self, owner: ProcessEndpoint, address: str, peers: Iterable[int]) -> None:
        """Listen at `address` for the streams of `peers`. Raises OSError."""
        self._owner = owner
        self._listener = Listener(address, peers)
        self.invitation = self._listener.invitation
        self.unfinished: dict[int, OutgoingStream] = {}  # by receiver
        self._outgoing: dict[int, OutgoingStream] = {}
        self._incoming: dict[int, IncomingStream] = {}
        self._ended: dict[int, IncomingStream] = {}
        self._lost_receivers: dict[int, OSError] = {}

    def lend(self, to: int, invitation: str, header: bytes, data: memoryview) -> None:
        """Send flat bytes to rank `to`, which made the `invitation`. What does not fit waits for `pump`. PeerFailed."""
        self._raise_if_lost(to)
        try:
            if (stream := self._outgoing.get(to)) is None:
                stream = self._outgoing[to] = OutgoingStream(invitation, self._owner.place.rank)
            stream.offer(memoryview(header), data)
        except OSError as error:
            raise self._owner.unreachable(to, error) from None
        if stream.queue:
            self.unfinished[to] = stream

    def pump(self) -> bool:
        """Send all that can be sent without waiting; return whether anything is left."""
        for to, stream in list(self.unfinished.items()):
            try:
                stream.pump()
            except OSError as error:
                self._lost_receivers[to] = error
                stream.close()
            if not stream.queue:
                del self.unfinished[to]
        return bool(self.unfinished)

    def settle(self, end: float) -> None:
        """Block until everything lent has left, until `end` (monotonic) at most. DeadlineExceeded, PeerFailed."""
        while self.pump():
            peers = tuple(self.unfinished)
            self._wait((), WAIT_SLICE)
            self._owner.check(end, f"{any_of(peers)} to take what was sent to it", peers)
        for to in self._lost_receivers:
            self._raise_if_lost(to)

    def _raise_if_lost(self, to: int) -> None:
        if (error := self._lost_receivers.get(to)) is not None:
            raise self._owner.unreachable(to, error) from None

    def fill(self, from_: int, target: Bytes, end: float) -> None:
        """Fill `target` from the stream of rank `from_`, until `end` at most. DeadlineExceeded, PeerFailed."""
        stream = self._incoming[from_]
        view, filled, size = target.data, 0, target.size
        try:
            while filled < size:
                try:
                    filled += stream.read(view[filled:])
                except BlockingIOError:
                    self.pump()
                    stream.wake_at(size - filled)
                    self._wait((stream.socket,), WAIT_SLICE)
                    self._owner.check(end, f"rank {from_}", (from_,))
        except OSError as error:
            raise self._owner.unreachable(from_, error) from None

    def next_header(self, from_: int) -> bytes | None:
        """Return the header of the next message in the stream of rank `from_`, if it has come. Does not block."""
        if (stream := self._incoming.get(from_)) is None:
            return None
        try:
            return stream.next_header()
        except OSError:
            self._ended[from_] = self._incoming.pop(from_)
            return None

    def files_to_poll(self, from_: int, nbytes: int) -> list[int]:
        """Return the files to poll if `nbytes` may come by stream from rank `from_`. Then call `admit`."""
        if (stream := self._incoming.get(from_)) is not None:
            stream.wake_at(nbytes)
            return [stream.socket.fileno()]
        return [] if from_ in self._ended else self._listener.files()

    def admit(self, ready: Iterable[object]) -> None:
        """Admit new streams if one of the files `ready` belongs to the listener. RunError if files run out."""
        if not set(self._listener.files()).intersection(ready):
            return
        try:
            self._incoming.update(self._listener.admit())
        except OSError as error:
            cause = f"cannot take in a stream: {error.strerror or error}"
            raise RunError(cause, **self._owner.place.fields()) from None

    def _wait(self, sources: Iterable[socket.socket], seconds: float) -> None:
        """Sleep until one of `sources` can be read, an unfinished stream has room, or `seconds` are over."""
        poll = select.poll()
        for source in sources:
            poll.register(source, select.POLLIN)
        for stream in self.unfinished.values():
            poll.register(stream.socket, select.POLLOUT)
        poll.poll(1000 * seconds)

    def close(self, end: float) -> None:
        """Close all streams; until `end` (monotonic), first send what is left."""
        while self.pump() and (left := end - time.monotonic()) > 0:
            self._wait((), min(left, WAIT_SLICE))
        for outgoing in self._outgoing.values():
            outgoing.close()
        for incoming in (*self._incoming.values(), *self._ended.values()):
            incoming.close()
        self._listener.close()
