"""The two ends of what one rank sends to another over ZeroMQ and a stream, and how the receiver restores the order.

Theory of operation. A message takes one of two ways: the *queue* (ZeroMQ, in segments) or the *stream* (stream.py, as
one segment). Both ends count the segments of each way. A header says its number on its own way, `seq`, and how many
segments had gone the other way before it, `after`. The receiver reads at most one segment ahead from each way. The next
segment is the one whose `after` equals the receiver's count of the other way; at most one of the two fits. So no
segment is taken too early, and a gap in `seq` is a lost segment, hence a ProtocolError. The payload of a streamed
segment follows its header; until all of it is read, nothing else from this sender can be.
"""

from collections.abc import Mapping

import zmq

from common.errors import ProtocolError
from common.place import Place
from common.transport import wire
from common.transport.process_endpoint import WAIT_SLICE

RECEIVE_AHEAD = 4  # segments that ZeroMQ receives from each peer before this rank asks for them

Segment = tuple[wire.Header, zmq.Frame | None]  # None: the segment was streamed, and its payload is in the stream


def _open_socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, address: str, options: Mapping[zmq.SocketOption, int]
) -> zmq.Socket[bytes]:
    """Open a PULL socket bound to `address`, or a PUSH socket connected to it. Raises zmq.ZMQError."""
    opened = context.socket(kind)
    try:
        for option, value in {**options, zmq.LINGER: 0, zmq.IPV6: int(address.startswith("tcp://["))}.items():
            opened.setsockopt(option, value)
        (opened.bind if kind == zmq.PULL else opened.connect)(address)
    except BaseException:
        opened.close(linger=0)
        raise
    return opened


class OutgoingChannel:
    """The sender's end. `invitation` admits the sender's stream at the receiver."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, invitation: str) -> None:
        """Connect to `address`. Raises zmq.ZMQError."""
        self.invitation = invitation
        self.queued = self.streamed = 0  # segments sent on each way
        self.socket = _open_socket(context, zmq.PUSH, address, {zmq.SNDHWM: 0, zmq.RECONNECT_IVL: 5})

    def send_header(self, place: Place, job: int, code: int, length: int, offset: int) -> None:
        """Queue the header of the segment that starts at `offset`. Its payload must follow as the next frame."""
        fields = code, place.rank, job, self.queued, self.streamed, place.step, place.bucket, length, offset
        self.queued += 1
        self.socket.send(wire.encode(fields), zmq.SNDMORE)

    def stream_header(self, place: Place, job: int, code: int, length: int) -> bytes:
        """Return the header of the message that is streamed next."""
        fields = code, place.rank, job, self.streamed, self.queued, place.step, place.bucket, length, 0
        self.streamed += 1
        return wire.encode(fields)


class IncomingChannel:
    """The receiver's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, sender: int) -> None:
        """Listen to rank `sender` at `address`. Raises zmq.ZMQError."""
        self.sender = sender
        self.queued = self.streamed = 0  # segments taken from each way
        self.unread_payload = 0  # bytes of the last streamed segment that are still in the stream
        self.from_queue: Segment | None = None  # read ahead, not yet taken
        self.from_stream: wire.Header | None = None  # read ahead, not yet taken
        options = {
            zmq.RCVHWM: RECEIVE_AHEAD,
            zmq.MAXMSGSIZE: wire.SEGMENT_BYTES,  # a stranger's frame can be no larger
            zmq.HANDSHAKE_IVL: 2000,
            zmq.RCVTIMEO: int(WAIT_SLICE * 1000),
        }
        self.socket = _open_socket(context, zmq.PULL, address, options)
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def parse_segment(self, raw: bytes, job: int) -> Segment | None:
        """Return the segment that begins with the frame `raw`, or None if a stranger sent it."""
        frames: list[zmq.Frame] = []
        while self.socket.getsockopt(zmq.RCVMORE):
            frames.append(self.socket.recv(copy=False))  # the first part has arrived, so all parts have
        try:
            header = wire.decode(raw)
        except wire.WireError:
            return None
        if header.job != job or header.sender != self.sender:
            return None
        return header, frames[0] if len(frames) == 1 else None

    def take_next(self, place: Place) -> Segment | None:
        """Take the next segment if it has been read ahead, else return None. ProtocolError if it was lost."""
        if self.unread_payload:
            rest = f"{self.unread_payload} bytes of the last message from rank {self.sender}"
            raise ProtocolError(f"{rest} were never read; no other can follow", **place.fields())
        streamed, queued = self.from_stream, self.from_queue
        if streamed is not None and streamed.after == self.queued:
            self._check_seq(streamed.seq, self.streamed, place)
            self.from_stream = None
            self.streamed += 1
            self.unread_payload = streamed.length
            return streamed, None
        if queued is not None and queued[0].after == self.streamed:
            header, frame = queued
            self._check_seq(header.seq, self.queued, place)
            if frame is None or len(frame) != header.payload:
                size = 0 if frame is None else len(frame)
                cause = f"rank {self.sender} announced {header.payload} bytes and sent {size}"
                raise ProtocolError(cause, **place.fields())
            self.from_queue = None
            self.queued += 1
            return queued
        if streamed is not None and queued is not None:
            cause = f"from rank {self.sender} came {streamed} by stream and {queued[0]} beside it: neither is next"
            raise ProtocolError(cause, **place.fields())
        return None

    def has_next(self) -> bool:
        """Return whether `take_next` would return a segment or raise."""
        streamed, queued = self.from_stream, self.from_queue
        stream_ready = streamed is not None and (streamed.after == self.queued or queued is not None)
        return bool(self.unread_payload) or stream_ready or (queued is not None and queued[0].after == self.streamed)

    def _check_seq(self, seq: int, expected: int, place: Place) -> None:
        if seq != expected:
            cause = f"segment {expected} from rank {self.sender} was lost: segment {seq} came instead"
            raise ProtocolError(cause, **place.fields())
