"""What ZeroMQ carries between an ordered pair of ranks: a socket at each end, and the segments that pass in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import zmq

from common.errors import ProtocolError
from common.place import Place
from common.transport import wire
from common.transport.process_endpoint import WAIT_SLICE

RECEIVE_AHEAD = 4  # segments a receiver takes in from each peer before it is asked for them

Segment = tuple[wire.Header, zmq.Frame | None]  # None: it came by stream, where its payload follows


@contextlib.contextmanager
def _closed_on_error(socket: zmq.Socket[bytes]) -> Iterator[None]:
    """Close `socket` if what is done in here raises."""
    try:
        yield
    except BaseException:
        socket.close(linger=0)
        raise


class Outgoing:
    """The sender's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, door: str) -> None:
        """Connect to `address`. `door` is where the peer takes streams. Raises zmq.ZMQError."""
        self.door = door
        self.queued = self.streamed = 0  # segments that have gone each way
        self.socket = context.socket(zmq.PUSH)
        with _closed_on_error(self.socket):
            self.socket.setsockopt(zmq.LINGER, 0)
            self.socket.setsockopt(zmq.SNDHWM, 0)
            self.socket.setsockopt(zmq.RECONNECT_IVL, 5)
            self.socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
            self.socket.connect(address)

    def head(self, place: Place, job: int, code: int, length: int, offset: int = 0) -> None:
        """Send the header of the segment that starts at `offset`; its payload has to follow, as a frame."""
        ways = self.queued, self.streamed
        self.queued += 1
        self.socket.send(
            wire.encode((code, place.rank, job, *ways, place.step, place.bucket, length, offset)), zmq.SNDMORE
        )

    def stream_head(self, place: Place, job: int, code: int, length: int) -> bytes:
        """The header of a message that is streamed next."""
        ways = self.streamed, self.queued
        self.streamed += 1
        return wire.encode((code, place.rank, job, *ways, place.step, place.bucket, length, 0))


class Incoming:
    """The receiver's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, sender: int) -> None:
        """Listen to rank `sender` at `address`. Raises zmq.ZMQError."""
        self.sender = sender
        self.queued = self.streamed = 0  # segments that have come each way, in order, and were taken
        self.owed = 0  # bytes that its stream has yet to bring before the next header
        self.ahead: Segment | None = None  # read from the socket, not yet taken
        self.head: wire.Header | None = None  # read from the stream, not yet taken
        self.socket = context.socket(zmq.PULL)
        with _closed_on_error(self.socket):
            self.socket.setsockopt(zmq.LINGER, 0)
            self.socket.setsockopt(zmq.RCVHWM, RECEIVE_AHEAD)
            self.socket.setsockopt(zmq.MAXMSGSIZE, wire.SEGMENT)  # for one frame of a stranger, at most
            self.socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
            self.socket.setsockopt(zmq.RCVTIMEO, int(WAIT_SLICE * 1000))
            self.socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
            self.socket.bind(address)
            self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def segment(self, raw: bytes, job: int) -> Segment | None:
        """The segment that begins with the frame `raw`; None if it is a stranger's."""
        frames: list[zmq.Frame] = []
        while self.socket.getsockopt(zmq.RCVMORE):
            frames.append(self.socket.recv(copy=False))  # all parts of a message are here when the first is
        try:
            header = wire.decode(raw)
        except wire.WireError:
            return None
        if header.job != job or header.sender != self.sender:
            return None
        return header, frames[0] if len(frames) == 1 else None

    def arrived(self, place: Place) -> Segment | None:
        """Take whichever is next of what was read; None if that has yet to come. ProtocolError if it was lost."""
        if self.owed:
            cause = (
                f"{self.owed} bytes of the last message from rank {self.sender} were never read; no other can follow"
            )
            raise ProtocolError(cause, **place.fields())
        head, ahead = self.head, self.ahead
        if head is not None and head.after == self.queued:
            self._in_order(head.seq, self.streamed, place)
            self.head = None
            self.streamed += 1
            self.owed = head.length
            return head, None
        if ahead is not None and ahead[0].after == self.streamed:
            self._in_order(ahead[0].seq, self.queued, place)
            self._refuse_unless_whole(ahead, place)
            self.ahead = None
            self.queued += 1
            return ahead
        if head is not None and ahead is not None:
            cause = f"from rank {self.sender} came {head} by stream and {ahead[0]} beside it: neither is next"
            raise ProtocolError(cause, **place.fields())
        return None

    def is_next(self) -> bool:
        """Whether `arrived` has something to give, be it an error."""
        head, ahead = self.head, self.ahead
        streamed = head is not None and (head.after == self.queued or ahead is not None)
        return bool(self.owed) or streamed or (ahead is not None and ahead[0].after == self.streamed)

    def _in_order(self, seq: int, expected: int, place: Place) -> None:
        if seq != expected:
            cause = f"segment {expected} from rank {self.sender} was lost: segment {seq} came instead"
            raise ProtocolError(cause, **place.fields())

    def _refuse_unless_whole(self, segment: Segment, place: Place) -> None:
        header, frame = segment
        if frame is None or len(frame) != header.payload:
            size = 0 if frame is None else len(frame)
            cause = f"rank {self.sender} announced {header.payload} bytes and sent {size}"
            raise ProtocolError(cause, **place.fields())
