"""What ZeroMQ carries between an ordered pair of ranks: a socket at each end, and the segments that pass in order."""

from __future__ import annotations

import zmq

from common.context import Place
from common.errors import ProtocolError
from common.transport import wire
from common.transport.process import SLICE

RECEIVE_AHEAD = 4  # segments a receiver takes in from each peer before it is asked for them

Segment = tuple[wire.Header, zmq.Frame | None]  # None: its payload is streamed


class Outgoing:
    """The sender's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, door: str) -> None:
        """Connect to `address`. `door` is where the peer takes streams. Raises zmq.ZMQError."""
        self.door = door
        self.seq = 0
        self.socket = context.socket(zmq.PUSH)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 5)
        self.socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
        self.socket.connect(address)

    def head(self, place: Place, job: int, code: int, length: int, offset: int = 0) -> None:
        """Send the header of the segment that starts at `offset`; its payload has to follow, as a frame."""
        self.socket.send(self._encoded(place, job, code, length, offset, False), zmq.SNDMORE)

    def announce(self, place: Place, job: int, code: int, length: int) -> None:
        """Send the header of a message that is streamed."""
        self.socket.send(self._encoded(place, job, code, length, 0, True))

    def _encoded(self, place: Place, job: int, code: int, length: int, offset: int, streamed: bool) -> bytes:
        self.seq += 1
        return wire.encode((code, place.rank, job, self.seq - 1, place.step, place.bucket, length, offset, streamed))


class Incoming:
    """The receiver's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, sender: int) -> None:
        """Listen to rank `sender` at `address`. Raises zmq.ZMQError."""
        self.sender = sender
        self.seq = 0
        self.owed = 0  # bytes announced that its stream has yet to bring
        self.ahead: Segment | None = None  # read, to know that it is there
        self.socket = context.socket(zmq.PULL)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, RECEIVE_AHEAD)
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.SEGMENT)  # for one frame of a stranger, at most
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        self.socket.setsockopt(zmq.RCVTIMEO, int(SLICE * 1000))
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

    def in_order(self, segment: Segment, place: Place) -> Segment:
        """The segment; ProtocolError if it is not the next one, or not as long as it says."""
        header, frame = segment
        if header.seq != self.seq:
            cause = f"segment {self.seq} from rank {self.sender} was lost: segment {header.seq} came instead"
            raise ProtocolError(cause, **place.fields())
        if self.owed:
            cause = (
                f"{self.owed} bytes of the last message from rank {self.sender} were never read; no other can follow"
            )
            raise ProtocolError(cause, **place.fields())
        self.seq += 1
        if header.streamed:
            self.owed = header.length
        elif frame is None or len(frame) != header.payload:
            size = 0 if frame is None else len(frame)
            cause = f"rank {self.sender} announced {header.payload} bytes and sent {size}"
            raise ProtocolError(cause, **place.fields())
        return segment
