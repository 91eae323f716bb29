"""Messages between processes: ZeroMQ over ipc or loopback tcp.

One PUSH-PULL pair of sockets for each ordered pair of ranks. The receiver binds a PULL socket per peer at start and
publishes the addresses; the sender connects its PUSH when it first has something to say. Why these sockets:

- A PUSH never receives and a PULL never sends, so a stranger who connects can take nothing and can only be heard;
  what it says lacks the job's id and is dropped. A DEALER or PAIR could be made to send to it.
- One socket a peer keeps a fast peer's messages in *its* queue: the receiver reads whom it waits for, buffers nothing
  for later, and a full queue (`RECEIVE_AHEAD` segments) holds back that sender alone.
- The sender's queue is unlimited, so `send` never blocks: two ranks that both send before they receive cannot
  deadlock. What waits there is what the algorithm has sent ahead.

No ZMTP heartbeats, no ROUTING_ID, no PUB/SUB: see the ZeroMQ notes in docs/transport.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zmq

from common.context import Array, Place
from common.errors import ConfigError, DeadlineExceeded, ProtocolError, RunError, step_name
from common.rendezvous import Rendezvous
from common.transport import wire
from common.transport.base import Endpoint, Message, as_bytes, flat

SLICE = 0.1  # seconds that a wait may be deaf to the end of the job
RECEIVE_AHEAD = 4  # segments a receiver takes in from each peer before it is asked for them
COPY_BELOW = 1 << 16  # bytes: pyzmq copies shorter frames in any case, and calls them returned at once
IPC_SEND_BUFFER = 2 << 20  # bytes: with the default, 208 KiB, sender and receiver wake each other more often
IPC_PATH_BYTES = 107  # what the operating system allows for a socket's path


@dataclass(slots=True)
class _Outgoing:
    socket: zmq.Socket[bytes]
    seq: int = 0
    loan: zmq.MessageTracker | None = None


@dataclass(slots=True)
class _Incoming:
    socket: zmq.Socket[bytes]
    seq: int = 0


def ipc_address(folder: Path) -> Callable[[int, int], str]:
    """Addresses of unix sockets in `folder`, which must be private (0700): whoever may enter may connect."""

    def address(receiver: int, sender: int) -> str:
        path = folder / f"{receiver}-{sender}"
        if len(bytes(path)) > IPC_PATH_BYTES:
            raise ConfigError(
                f"{path} is too long for a socket's path ({IPC_PATH_BYTES} bytes): set TMPDIR to a short one"
            )
        return f"ipc://{path}"

    return address


def tcp_address(interface: str = "127.0.0.1") -> Callable[[int, int], str]:
    """A free port of a loopback interface. ConfigError for any other: there is no authentication yet."""
    try:
        loopback = ipaddress.ip_address(interface).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(f"tcp binds to loopback only, there is no authentication yet: 127.0.0.1, not {interface!r}")
    host = f"[{interface}]" if ":" in interface else interface
    return lambda receiver, sender: f"tcp://{host}:*"


class ZmqEndpoint(Endpoint):
    """One rank's sockets. `job` is a random 64-bit id shared by its ranks; `watch` raises when the job is over."""

    def __init__(
        self,
        place: Place,
        peers: int,
        address: Callable[[int, int], str],
        rendezvous: Rendezvous,
        *,
        job: int,
        deadline: float,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(place, deadline, watch)
        self.job = job
        self.rendezvous = rendezvous
        self.strangers = 0  # messages dropped because they were not this job's
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, max(1023, 2 * peers + 16))
        self._out: dict[int, _Outgoing] = {}
        self._in: dict[int, _Incoming] = {}
        self._served = 0
        others = [rank for rank in range(peers) if rank != place.rank]
        try:
            addresses = {peer: self._bind(peer, address(place.rank, peer)) for peer in others}
            rendezvous.publish(addresses)
        except zmq.ZMQError as error:
            self.close()
            raise RunError(f"cannot listen: {error}", **place.fields()) from None
        except BaseException:
            self.close()
            raise

    def _bind(self, peer: int, address: str) -> str:
        socket = self._context.socket(zmq.PULL)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, RECEIVE_AHEAD)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.SEGMENT)  # for one frame of a stranger, at most
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        socket.setsockopt(zmq.RCVTIMEO, int(SLICE * 1000))
        socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
        socket.bind(address)
        self._in[peer] = _Incoming(socket)
        return socket.getsockopt_string(zmq.LAST_ENDPOINT)

    # Sending.

    def send(self, to: int, array: Array) -> None:
        self._post(to, array, copy=True)

    def lend(self, to: int, array: Array) -> None:
        self._post(to, array, copy=False)

    def _post(self, to: int, array: Array, *, copy: bool) -> None:
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._out.get(to) or self._connect(to)
        place, socket = self.place, out.socket
        for offset in wire.segments(data.nbytes):
            head = (code, place.rank, self.job, out.seq, place.step, place.bucket, data.nbytes, offset)
            out.seq += 1
            socket.send(wire.encode(head), zmq.SNDMORE)
            piece = data[offset : offset + wire.SEGMENT]
            if copy or len(piece) < COPY_BELOW:
                socket.send(piece)
            else:  # segments leave in order: when the last one lent has left, all have
                out.loan = socket.send(piece, copy=False, track=True)

    def _connect(self, to: int) -> _Outgoing:
        if to not in self._in:
            raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
        address = self.rendezvous.lookup(to, self.watch)
        socket = self._context.socket(zmq.PUSH)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 5)
        if address.startswith("ipc:"):
            socket.setsockopt(zmq.SNDBUF, IPC_SEND_BUFFER)
        socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
        socket.connect(address)
        self._out[to] = _Outgoing(socket)
        return self._out[to]

    def settle(self) -> None:
        end = time.monotonic() + self.deadline
        for peer, out in self._out.items():
            while out.loan is not None:
                try:
                    out.loan.wait(timeout=SLICE)
                    out.loan = None
                except zmq.NotDone:
                    self._check(end, f"rank {peer} to take what was sent to it", (peer,))

    def _check(self, end: float, whom: str, peers: tuple[int, ...]) -> None:
        self.watch()
        if time.monotonic() > end:
            cause = f"waited {self.deadline:g} s for {whom}"
            raise DeadlineExceeded(cause, peers=peers, **self.place.fields())

    # Receiving.

    def recv_into(self, from_: int, out: Array) -> None:
        elements = flat(out)
        for start, piece in self._segments(from_, out):
            elements[start : start + piece.size] = piece

    def recv_add(self, from_: int, into: Array) -> None:
        elements = flat(into)
        for start, piece in self._segments(from_, into):
            target = elements[start : start + piece.size]
            np.add(target, piece, target)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        if not from_:
            raise ValueError("waiting for nobody: give at least one rank")
        elements = flat(out)
        end = time.monotonic() + self.deadline
        names = " or ".join(f"rank {peer}" for peer in from_)
        while True:
            sender = self._ready(from_, end, names)
            if (segment := self._read(sender)) is not None:
                break
            self._check(end, names, from_)
        header, frame = self._in_order(sender, *segment)
        fits = header.length <= out.nbytes and header.length % out.itemsize == 0 and header.offset == 0
        if header.dtype != wire.dtype_code(out.dtype) or not fits:
            raise self._unexpected(sender, header, f"at most {out.nbytes} bytes of {out.dtype}")
        for offset in wire.segments(header.length):
            if offset:
                following, frame = self._segment(sender, end)
                if following != header._replace(seq=following.seq, offset=offset):
                    raise self._unexpected(sender, following, f"the rest of {header}")
            piece = np.frombuffer(frame.buffer, out.dtype)
            start = offset // out.itemsize
            elements[start : start + piece.size] = piece
        return Message(sender, header.step, header.bucket, header.length // out.itemsize)

    def _segments(self, from_: int, expected: Array) -> Iterator[tuple[int, Array]]:
        """Yield (index of its first element, elements) of each segment of the next message, if it is as `expected`."""
        place = self.place
        wanted = (wire.dtype_code(expected.dtype), place.step, place.bucket, expected.nbytes)
        end = time.monotonic() + self.deadline
        for offset in wire.segments(expected.nbytes):
            header, frame = self._segment(from_, end)
            if (header.dtype, header.step, header.bucket, header.length) != wanted or header.offset != offset:
                names = f"{step_name(place.step)}, bucket {place.bucket}, {expected.nbytes} bytes of {expected.dtype}"
                raise self._unexpected(from_, header, names)
            yield offset // expected.itemsize, np.frombuffer(frame.buffer, expected.dtype)

    def _segment(self, from_: int, end: float) -> tuple[wire.Header, zmq.Frame]:
        """The next segment from `from_`. Blocks until `end` at most."""
        while (segment := self._read(from_)) is None:
            self._check(end, f"rank {from_}", (from_,))
        return self._in_order(from_, *segment)

    def _read(self, from_: int) -> tuple[wire.Header, zmq.Frame | None] | None:
        """The next segment from `from_`, or None: nothing came for a moment, or it was a stranger's, and is dropped."""
        socket = self._channel(from_).socket
        try:
            raw = socket.recv()
        except zmq.Again:
            return None
        header, frame = self._decode(raw, socket)
        if header is None or header.sender != from_:
            self.strangers += 1
            return None
        return header, frame

    def _channel(self, peer: int) -> _Incoming:
        try:
            return self._in[peer]
        except KeyError:
            raise ValueError(f"rank {peer} is no peer of rank {self.place.rank}") from None

    def _in_order(self, from_: int, header: wire.Header, frame: zmq.Frame | None) -> tuple[wire.Header, zmq.Frame]:
        """The segment, if it is the next one of this pair and as long as it says."""
        channel = self._in[from_]
        if header.seq != channel.seq:
            lost = f"segment {channel.seq} from rank {from_} was lost: segment {header.seq} came instead"
            raise ProtocolError(lost, **self.place.fields())
        channel.seq += 1
        if frame is None or len(frame) != header.payload:
            size = 0 if frame is None else len(frame)
            cause = f"rank {from_} announced {header.payload} bytes and sent {size}"
            raise ProtocolError(cause, **self.place.fields())
        return header, frame

    def _decode(self, raw: bytes, socket: zmq.Socket[bytes]) -> tuple[wire.Header | None, zmq.Frame | None]:
        """The header in `raw` and the frame after it; the header is None if it is not of this job."""
        frames: list[zmq.Frame] = []
        while socket.getsockopt(zmq.RCVMORE):
            frames.append(socket.recv(copy=False))  # all parts of a message are here when the first is
        try:
            header = wire.decode(raw)
        except wire.WireError:
            return None, None
        if header.job != self.job:
            return None, None
        return header, frames[0] if len(frames) == 1 else None

    def _ready(self, from_: tuple[int, ...], end: float, names: str) -> int:
        """A peer of `from_` with something to read; they take turns. Blocks, unless there is only one."""
        if len(from_) == 1:
            return from_[0]
        turn = [peer for peer in from_ if peer > self._served] + [peer for peer in from_ if peer <= self._served]
        poller = zmq.Poller()
        for peer in turn:
            poller.register(self._channel(peer).socket, zmq.POLLIN)
        while not (ready := dict(poller.poll(int(SLICE * 1000)))):
            self._check(end, names, from_)
        self._served = next(peer for peer in turn if self._in[peer].socket in ready)
        return self._served

    def _unexpected(self, from_: int, header: wire.Header, wanted: str) -> ProtocolError:
        return ProtocolError(f"expected {wanted} from rank {from_}, got {header}", **self.place.fields())

    def close(self, *, linger: float = 0.0) -> None:
        with contextlib.suppress(zmq.ZMQError):
            self._context.destroy(linger=int(linger * 1000))
