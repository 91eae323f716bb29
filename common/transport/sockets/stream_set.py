"""All streams of one rank: what still flows, who has come in, and waits that keep the rest flowing.

A stream moves while its rank is in a call of the endpoint, for as long as that has something to wait for: nothing is
copied, so nothing can be left to a thread while the rank computes.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable

from common.errors import RunError
from common.transport.base import Bytes
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.sockets.stream import Inflow, Listener, Outflow


class Streams:
    """The streams of `owner`, who says when a wait has to end, and why."""

    def __init__(self, owner: ProcessEndpoint, address: str, peers: Iterable[int]) -> None:
        """Listen at `address` to the streams of `peers`. Raises OSError."""
        self._owner = owner
        self._listener = Listener(address, peers)
        self.door = self._listener.door
        self.flowing: dict[int, Outflow] = {}  # by receiver: those with something left to send
        self._out: dict[int, Outflow] = {}
        self._in: dict[int, Inflow] = {}
        self._ended: dict[int, Inflow] = {}
        self._lost: dict[int, OSError] = {}  # receivers that are gone, and what the system says of it

    def lend(self, to: int, door: str, head: bytes, data: memoryview) -> None:
        """Send flat bytes to rank `to`, whose `door` it is; what does not fit waits for `pump`. PeerFailed."""
        self._raise_if_lost(to)
        try:
            if (flow := self._out.get(to)) is None:
                flow = self._out[to] = Outflow(door, self._owner.place.rank)
            flow.offer(memoryview(head), data)
        except OSError as error:
            raise self._owner.unreachable(to, error) from None
        if flow.queue:
            self.flowing[to] = flow

    def pump(self) -> bool:
        """Send on what can be sent without waiting; whether something is left.

        Of a receiver that is gone the next `lend` or `settle` tells: who waits for another's message goes on waiting.
        """
        for to, flow in list(self.flowing.items()):
            try:
                flow.pump()
            except OSError as error:
                self._lost[to] = error
                flow.close()
            if not flow.queue:
                del self.flowing[to]
        return bool(self.flowing)

    def settle(self, end: float) -> None:
        """Block until everything lent has left, until `end` (monotonic) at most. DeadlineExceeded, PeerFailed."""
        while self.pump():
            peers = tuple(self.flowing)
            self._wait((), WAIT_SLICE)
            self._owner.check(end, f"{any_of(peers)} to take what was sent to it", peers)
        for to in self._lost:
            self._raise_if_lost(to)

    def _raise_if_lost(self, to: int) -> None:
        if (error := self._lost.get(to)) is not None:
            raise self._owner.unreachable(to, error) from None

    def fill(self, from_: int, target: Bytes, end: float) -> None:
        """Fill `target` from the stream of rank `from_`, until `end` at most. DeadlineExceeded, PeerFailed."""
        flow = self._in[from_]
        view, filled, size = target.data, 0, target.size
        try:
            while filled < size:
                try:
                    filled += flow.read(view[filled:])
                except BlockingIOError:
                    self.pump()
                    flow.wake_at(size - filled)
                    self._wait((flow.socket,), WAIT_SLICE)
                    self._owner.check(end, f"rank {from_}", (from_,))
        except OSError as error:
            raise self._owner.unreachable(from_, error) from None

    def head(self, from_: int) -> bytes | None:
        """The header of the next message in the stream of rank `from_`, once it is there. Does not block."""
        if (flow := self._in.get(from_)) is None:
            return None
        try:
            return flow.head()
        except OSError:  # its last word; what it has said by ZeroMQ may yet have to come
            self._ended[from_] = self._in.pop(from_)
            return None

    def sources(self, from_: int, nbytes: int) -> list[int]:
        """The files to poll where a message of `nbytes` bytes may come by stream from rank `from_`; then `admit`."""
        if (flow := self._in.get(from_)) is not None:
            flow.wake_at(nbytes)
            return [flow.socket.fileno()]
        return [] if from_ in self._ended else self._doors()

    def _doors(self) -> list[int]:
        return [each.fileno() for each in self._listener.sockets]

    def admit(self, ready: Iterable[object]) -> None:
        """Take in the streams that have come, if one of `ready` is a door. RunError if no more files can be opened."""
        if not set(self._doors()).intersection(ready):
            return
        try:
            self._in.update(self._listener.admit())
        except OSError as error:
            cause = f"cannot take in a stream: {error.strerror or error}"
            raise RunError(cause, **self._owner.place.fields()) from None

    def _wait(self, sources: Iterable[socket.socket], seconds: float) -> None:
        """Sleep until one of `sources` has something, a stream with something left has room, or time is up."""
        poll = select.poll()
        for source in sources:
            poll.register(source, select.POLLIN)
        for flow in self.flowing.values():
            poll.register(flow.socket, select.POLLOUT)
        poll.poll(1000 * seconds)

    def close(self, end: float) -> None:
        """Let go of everything; what is left to send gets until `end` (monotonic) to leave."""
        while self.pump() and (left := end - time.monotonic()) > 0:
            self._wait((), min(left, WAIT_SLICE))
        flows: list[Outflow | Inflow] = [*self._out.values(), *self._in.values(), *self._ended.values()]
        for flow in flows:
            flow.close()
        self._listener.close()
