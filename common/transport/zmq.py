"""Messages between processes: ZeroMQ over ipc or loopback tcp.

One PUSH-PULL pair of sockets for each ordered pair of ranks. The receiver binds a PULL socket per peer at start and
publishes the addresses; the sender connects its PUSH when it first has something to say. Why these sockets:

- A PUSH never receives and a PULL never sends, so a stranger who connects can take nothing and can only be heard;
  what it says lacks the job's id and is dropped. A DEALER or PAIR could be made to send to it.
- One socket a peer keeps a fast peer's messages in *its* queue: the receiver reads whom it waits for, buffers nothing
  for later, and a full queue (`RECEIVE_AHEAD` segments) holds back that sender alone.
- The sender's queue is unlimited, so `send` never blocks: two ranks that both send before they receive cannot
  deadlock. What waits there is what the algorithm has sent ahead.

What is lent and large goes another way: ZeroMQ carries its header, a plain stream its bytes (stream.py).

No ZMTP heartbeats, no ROUTING_ID, no PUB/SUB: see the ZeroMQ notes in docs/transport.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zmq

from common.context import Array, Place
from common.errors import ConfigError, PeerFailed, ProtocolError, RunError
from common.rendezvous import Rendezvous
from common.transport import wire
from common.transport.arena import Bytes
from common.transport.base import Message, as_bytes, flat
from common.transport.process import SLICE, ProcessEndpoint
from common.transport.stream import Inflow, Listener, Outflow

RECEIVE_AHEAD = 4  # segments a receiver takes in from each peer before it is asked for them
STREAM_FROM = 1 << 16  # bytes that are worth a stream: less is faster copied
SCRATCH = 1 << 18  # bytes: what is received at a time where it is added, small enough for the cache
IPC_PATH_BYTES = 107  # what the operating system allows for a socket's path


_Segment = tuple[wire.Header, zmq.Frame | None]  # None: its payload is streamed


@dataclass(slots=True)
class _Outgoing:
    socket: zmq.Socket[bytes]
    stream: str  # where the peer takes streams
    seq: int = 0
    flow: Outflow | None = None


@dataclass(slots=True)
class _Incoming:
    socket: zmq.Socket[bytes]
    seq: int = 0
    flow: Inflow | None = None


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


class ZmqEndpoint(ProcessEndpoint):
    """One rank's sockets. `job` is a random 64-bit id shared by its ranks; `watch` raises when the job is over."""

    def __init__(
        self,
        place: Place,
        peers: int,
        address: Callable[[int, int], str],
        streams: Path | str,
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
        self._flowing: list[Outflow] = []  # those that have something left to send
        self._scratch = np.empty(SCRATCH, np.uint8)
        self._closed = False
        others = [rank for rank in range(peers) if rank != place.rank]
        try:
            self._listener = Listener(streams)
        except OSError as error:
            self._context.destroy()
            raise RunError(f"cannot listen: {error.strerror or error}", **place.fields()) from None
        try:
            addresses = {peer: self._bind(peer, address(place.rank, peer)) for peer in others}
            rendezvous.publish({peer: f"{each} {self._listener.address}" for peer, each in addresses.items()})
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
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._out.get(to) or self._connect(to)
        for offset in wire.segments(data.nbytes):
            self._head(out, code, data.nbytes, offset, zmq.SNDMORE)
            out.socket.send(data[offset : offset + wire.SEGMENT])

    def lend(self, to: int, array: Array) -> None:
        if array.nbytes < STREAM_FROM:
            self.send(to, array)
            return
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._out.get(to) or self._connect(to)
        with self._gone(to):
            if out.flow is None:
                out.flow = Outflow(out.stream, self.place.rank)
            self._head(out, code, data.nbytes, 0, 0, streamed=True)
            out.flow.offer(data)
            if out.flow.queue and out.flow not in self._flowing:
                self._flowing.append(out.flow)

    def _head(self, out: _Outgoing, code: int, length: int, offset: int, flag: int, *, streamed: bool = False) -> None:
        place = self.place
        head = (code, place.rank, self.job, out.seq, place.step, place.bucket, length, offset, streamed)
        out.seq += 1
        out.socket.send(wire.encode(head), flag)

    @contextlib.contextmanager
    def _gone(self, rank: int) -> Iterator[None]:
        """What the operating system says of a peer that is no more, in our words."""
        try:
            yield
        except OSError as error:
            self.watch()  # knows better, if the job is over
            raise PeerFailed(f"lost rank {rank}: {error.strerror or error}", **self.place.fields()) from None

    def _connect(self, to: int) -> _Outgoing:
        if to not in self._in:
            raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
        address, stream = self.rendezvous.lookup(to, self.watch).split(" ", 1)
        socket = self._context.socket(zmq.PUSH)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 5)
        socket.setsockopt(zmq.IPV6, address.startswith("tcp://["))
        socket.connect(address)
        self._out[to] = _Outgoing(socket, stream)
        return self._out[to]

    def settle(self) -> None:
        end = time.monotonic() + self.deadline
        while self._pump():
            peers = tuple(peer for peer, out in self._out.items() if out.flow in self._flowing)
            self._await_streams([], SLICE)
            self.check(end, f"{_either(peers)} to take what was sent to it", peers)

    def _pump(self) -> bool:
        """Send on what can be sent without waiting; whether something is left."""
        for flow in list(self._flowing):
            try:
                flow.pump()
            except OSError:  # its peer is gone: whoever waits for something of it will say so
                flow.queue.clear()
            if not flow.queue:
                self._flowing.remove(flow)
        return bool(self._flowing)

    def _await_streams(self, inflows: list[Inflow], seconds: float) -> None:
        """Sleep until one of `inflows` has something, a stream that has more to send has room, or time is up."""
        poll = select.poll()
        for inflow in inflows:
            poll.register(inflow.socket, select.POLLIN)
        for flow in self._flowing:
            poll.register(flow.socket, select.POLLOUT)
        poll.poll(1000 * seconds)

    # Receiving.

    def recv_into(self, from_: int, out: Array) -> None:
        elements = flat(out)
        for start, piece in self._pieces(from_, out, as_bytes(out)):
            if piece is not None:
                elements[start : start + piece.size] = piece

    def recv_add(self, from_: int, into: Array) -> None:
        elements = flat(into)
        for start, piece in self._pieces(from_, into, None):
            assert piece is not None
            target = elements[start : start + piece.size]
            np.add(target, piece, target)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        if not from_:
            raise ValueError("waiting for nobody: give at least one rank")
        elements = flat(out)
        end = time.monotonic() + self.deadline
        while True:
            sender = self._ready(from_, end)
            if (segment := self._read(sender)) is not None:
                break
            self.check(end, _either(from_), from_)
        header, frame = self._in_order(sender, *segment)
        fits = header.length <= out.nbytes and header.length % out.itemsize == 0 and header.offset == 0
        if header.dtype != wire.dtype_code(out.dtype) or not fits:
            raise self.unexpected(sender, header, f"at most {out.nbytes} bytes of {out.dtype}")
        size = header.length // out.itemsize
        if header.streamed:
            self._fill(sender, as_bytes(elements[:size]), end)
        else:
            for start, piece in self._rest(sender, header, frame, out.dtype, end):
                elements[start : start + piece.size] = piece
        return Message(sender, header.step, header.bucket, size)

    def _pieces(self, from_: int, expected: Array, whole: Bytes | None) -> Iterator[tuple[int, Array | None]]:
        """Yield (index of its first element, elements) of each piece of the next message, if it is as `expected`.

        A streamed message goes to `whole` in place, if that is given, and yields None.
        """
        place = self.place
        wanted = (wire.dtype_code(expected.dtype), place.step, place.bucket, expected.nbytes)
        end = time.monotonic() + self.deadline
        header, frame = self._segment(from_, end)
        if (header.dtype, header.step, header.bucket, header.length) != wanted or header.offset:
            raise self.unexpected(from_, header, self.wanted(expected))
        if not header.streamed:
            yield from self._rest(from_, header, frame, expected.dtype, end)
        elif whole is not None:
            self._fill(from_, whole, end)
            yield 0, None
        else:
            for start in range(0, header.length, SCRATCH):
                part = self._scratch[: min(SCRATCH, header.length - start)]
                self._fill(from_, part, end)
                yield start // expected.itemsize, part.view(expected.dtype)

    def _rest(
        self, from_: int, header: wire.Header, frame: zmq.Frame | None, dtype: np.dtype, end: float
    ) -> Iterator[tuple[int, Array]]:
        """Yield (index of its first element, elements) of each segment of a message, the first being `header`'s."""
        for offset in wire.segments(header.length):
            if offset:
                following, frame = self._segment(from_, end)
                if following != header._replace(seq=following.seq, offset=offset):
                    raise self.unexpected(from_, following, f"the rest of {header}")
            assert frame is not None
            yield offset // dtype.itemsize, np.frombuffer(frame.buffer, dtype)

    def _fill(self, from_: int, target: Bytes, end: float) -> None:
        """Fill `target` from the stream of `from_`, sending on what is to be sent. Blocks until `end` at most."""
        channel = self._in[from_]
        whom = f"rank {from_}"
        while channel.flow is None:
            for sender, flow in self._listener.accept(0 if self._pump() else SLICE).items():
                if sender in self._in and self._in[sender].flow is None:
                    self._in[sender].flow = flow
                else:
                    flow.close()
            self.check(end, whom, (from_,))
        view, filled, size = target.data, 0, target.size
        with self._gone(from_):
            while filled < size:
                try:
                    filled += channel.flow.read(view[filled:])
                except BlockingIOError:
                    self._pump()
                    channel.flow.wake_at(size - filled)
                    self._await_streams([channel.flow], SLICE)
                    self.check(end, whom, (from_,))

    def _segment(self, from_: int, end: float) -> _Segment:
        """The next segment from `from_`. Blocks until `end` at most."""
        while (segment := self._read(from_)) is None:
            self.check(end, f"rank {from_}", (from_,))
        return self._in_order(from_, *segment)

    def _read(self, from_: int) -> tuple[wire.Header, zmq.Frame | None] | None:
        """The next segment from `from_`, or None: nothing came for a moment, or it was a stranger's, and is dropped."""
        socket = self._channel(from_).socket
        try:
            raw = self._next(socket)
        except zmq.Again:
            return None
        header, frame = self._decode(raw, socket)
        if header is None or header.sender != from_:
            self.strangers += 1
            return None
        return header, frame

    def _next(self, socket: zmq.Socket[bytes]) -> bytes:
        """The next frame; meanwhile, what is to be sent is sent on. zmq.Again if none comes for a moment."""
        if not self._pump():
            return socket.recv()
        with contextlib.suppress(zmq.Again):
            return socket.recv(zmq.NOBLOCK)
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        for flow in self._flowing:
            poller.register(flow.socket, zmq.POLLOUT)
        poller.poll(int(1000 * SLICE))
        return socket.recv(zmq.NOBLOCK)

    def has(self, from_: int) -> bool:
        self._pump()
        return bool(self._channel(from_).socket.poll(0))

    def _channel(self, peer: int) -> _Incoming:
        try:
            return self._in[peer]
        except KeyError:
            raise ValueError(f"rank {peer} is no peer of rank {self.place.rank}") from None

    def _in_order(self, from_: int, header: wire.Header, frame: zmq.Frame | None) -> _Segment:
        """The segment, if it is the next one of this pair and as long as it says."""
        channel = self._in[from_]
        if header.seq != channel.seq:
            lost = f"segment {channel.seq} from rank {from_} was lost: segment {header.seq} came instead"
            raise ProtocolError(lost, **self.place.fields())
        channel.seq += 1
        if header.streamed:
            return header, None
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

    def _ready(self, from_: tuple[int, ...], end: float) -> int:
        """A peer of `from_` with something to read; they take turns. Blocks, unless there is only one."""
        if len(from_) == 1:
            return from_[0]
        turn = [peer for peer in from_ if peer > self._served] + [peer for peer in from_ if peer <= self._served]
        poller = zmq.Poller()
        for peer in turn:
            poller.register(self._channel(peer).socket, zmq.POLLIN)
        while not (ready := self._poll(poller)):
            self.check(end, _either(from_), from_)
        self._served = next(peer for peer in turn if self._in[peer].socket in ready)
        return self._served

    def _poll(self, poller: zmq.Poller) -> dict[zmq.Socket[bytes], int]:
        """Which of the sockets have something to read; meanwhile, what is to be sent is sent on."""
        self._pump()
        for flow in self._flowing:
            poller.register(flow.socket, zmq.POLLOUT)
        events = dict(poller.poll(int(SLICE * 1000)))
        for flow in self._flowing:
            poller.unregister(flow.socket)
            events.pop(flow.socket, None)
        return events

    def close(self, *, linger: float = 0.0) -> None:
        """As the contract says. A stream moves only in here, so it is given until `linger` to empty."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + linger
        while self._pump() and (left := end - time.monotonic()) > 0:
            self._await_streams([], min(left, SLICE))
        flows: list[Outflow | Inflow | None] = [each.flow for each in self._out.values()]
        flows += [each.flow for each in self._in.values()]
        for flow in flows:
            if flow is not None:
                flow.close()
        self._listener.close()
        with contextlib.suppress(zmq.ZMQError):
            self._context.destroy(linger=int(linger * 1000))


def _either(ranks: tuple[int, ...]) -> str:
    return " or ".join(f"rank {rank}" for rank in ranks)
