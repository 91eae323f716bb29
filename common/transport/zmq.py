"""Messages between processes: ZeroMQ over ipc or loopback tcp.

One PUSH-PULL pair of sockets for each ordered pair of ranks. The receiver binds a PULL socket per peer at start and
publishes the addresses; the sender connects its PUSH when it first has something to say. Why these sockets:

- A PUSH never receives and a PULL never sends, so a stranger who connects can take nothing and can only be heard;
  what it says lacks the job's id and is dropped. A DEALER or PAIR could be made to send to it.
- One socket a peer keeps a fast peer's messages in *its* queue: the receiver reads whom it waits for, buffers nothing
  for later, and a full queue (`RECEIVE_AHEAD` segments) holds back that sender alone.
- The sender's queue is unlimited, so `send` never blocks: two ranks that both send before they receive cannot
  deadlock. What waits there is what the algorithm has sent ahead.

What is lent and large goes another way: ZeroMQ carries its header, a plain stream its bytes (streams.py).

No ZMTP heartbeats, no ROUTING_ID, no PUB/SUB: see the ZeroMQ notes in docs/transport.md.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import zmq

from common.context import Array, Place
from common.errors import RunError
from common.rendezvous import Rendezvous
from common.transport import wire
from common.transport.address import Addresses
from common.transport.arena import Bytes
from common.transport.base import Message, as_bytes, flat
from common.transport.pair import Incoming, Outgoing, Segment
from common.transport.process import SLICE, ProcessEndpoint, either
from common.transport.streams import Streams

STREAM_FROM = 1 << 16  # bytes that are worth a stream: less is faster copied
ALIGNED = 64  # bytes: a whole number of elements of any dtype
SCRATCH = 1 << 20  # bytes: what is received at a time where it is added: fits the cache, and saves wake-ups


class ZmqEndpoint(ProcessEndpoint):
    """One rank's sockets. `job` is a random 64-bit id shared by its ranks; `watch` raises when the job is over."""

    def __init__(
        self,
        place: Place,
        peers: int,
        address: Addresses,
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
        self._out: dict[int, Outgoing] = {}
        self._in: dict[int, Incoming] = {}
        self._served = 0
        self._scratch = np.empty(SCRATCH, np.uint8)
        self._closed = False
        others = [rank for rank in range(peers) if rank != place.rank]
        with self._listening():
            self._streams = Streams(self, address(place.rank, place.rank), others)
        self._context = zmq.Context()
        try:
            self._context.set(zmq.MAX_SOCKETS, max(1023, 2 * peers + 16))
            with self._listening():
                self._in = {peer: Incoming(self._context, address(place.rank, peer), peer) for peer in others}
            doors = {peer: json.dumps((each.address, self._streams.door)) for peer, each in self._in.items()}
            rendezvous.publish(doors)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except (OSError, zmq.ZMQError) as error:
            raise RunError(f"cannot listen: {error.strerror or error}", **self.place.fields()) from None

    # Sending.

    def send(self, to: int, array: Array) -> None:
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._out.get(to) or self._connect(to)
        for offset in wire.segments(data.nbytes):
            out.head(self.place, self.job, code, data.nbytes, offset)
            out.socket.send(data[offset : offset + wire.SEGMENT])

    def lend(self, to: int, array: Array) -> None:
        if array.nbytes < STREAM_FROM:
            self.send(to, array)
            return
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._out.get(to) or self._connect(to)
        out.announce(self.place, self.job, code, data.nbytes)
        self._streams.lend(to, out.door, data)

    def _connect(self, to: int) -> Outgoing:
        if to not in self._in:
            raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
        address, door = json.loads(self.rendezvous.lookup(to, self.watch))
        self._out[to] = Outgoing(self._context, address, door)
        return self._out[to]

    def settle(self) -> None:
        self._streams.settle(time.monotonic() + self.deadline)

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
            self.check(end, either(from_), from_)
        header, frame = self._in[sender].in_order(segment, self.place)
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
            parts = -(-header.length // SCRATCH)  # of equal size: a short last one would be a wake-up for little
            step = -(-header.length // (parts * ALIGNED)) * ALIGNED
            for start in range(0, header.length, step):
                part = self._scratch[: min(step, header.length - start)]
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
        """Fill `target` from the stream of `from_`. Blocks until `end` at most."""
        self._streams.fill(from_, target, end)
        self._in[from_].owed -= target.size

    def _segment(self, from_: int, end: float) -> Segment:
        """The next segment from `from_`. Blocks until `end` at most."""
        while (segment := self._read(from_)) is None:
            self.check(end, f"rank {from_}", (from_,))
        return self._in[from_].in_order(segment, self.place)

    def _read(self, from_: int) -> Segment | None:
        """The next segment from `from_`, or None: nothing came for a moment, or it was a stranger's, and is dropped."""
        channel = self._channel(from_)
        if (segment := channel.ahead) is not None:
            channel.ahead = None
            return segment
        try:
            raw = self._next(channel.socket)
        except zmq.Again:
            return None
        if (segment := channel.segment(raw, self.job)) is None:
            self.strangers += 1
        return segment

    def _next(self, socket: zmq.Socket[bytes]) -> bytes:
        """The next frame; meanwhile, what is to be sent is sent on. zmq.Again if none comes for a moment."""
        if not self._streams.pump():
            return socket.recv()
        with contextlib.suppress(zmq.Again):
            return socket.recv(zmq.NOBLOCK)
        self._poll([socket])
        return socket.recv(zmq.NOBLOCK)

    def pump_or_sleep(self, other: int) -> bool:
        """Send on what was lent, as far as that goes without waiting; whether something is left.

        Then it has slept until that could go on or `other`, an open file, could be read, for a moment at most.
        """
        if not self._streams.pump():
            return False
        self._poll((), other)
        return True

    def sleep_for(self, from_: tuple[int, ...], other: int) -> None:
        """Sleep until something comes from one of `from_` or `other`, an open file, can be read; a moment at most."""
        if not any(map(self.has, from_)):
            self._poll([self._channel(peer).socket for peer in from_], other)

    def has(self, from_: int) -> bool:
        self._streams.pump()
        channel = self._channel(from_)
        while channel.ahead is None and channel.socket.poll(0):
            channel.ahead = self._read(from_)
        return channel.ahead is not None

    def _channel(self, peer: int) -> Incoming:
        try:
            return self._in[peer]
        except KeyError:
            raise ValueError(f"rank {peer} is no peer of rank {self.place.rank}") from None

    def _ready(self, from_: tuple[int, ...], end: float) -> int:
        """A peer of `from_` with something to read; they take turns. Blocks, unless there is only one."""
        if len(from_) == 1:
            return from_[0]
        turn = [peer for peer in from_ if peer > self._served] + [peer for peer in from_ if peer <= self._served]
        sockets = {peer: self._channel(peer).socket for peer in turn}
        for peer in turn:
            if self._in[peer].ahead is not None:
                return peer
        while True:
            ready = self._poll(sockets.values())
            for peer, socket in sockets.items():
                if socket in ready:
                    self._served = peer
                    return peer
            self.check(end, either(from_), from_)

    def _poll(self, sockets: Iterable[zmq.Socket[bytes]], *files: int) -> dict[zmq.Socket[bytes], int]:
        """Which of the sockets have something to read, after a moment.

        Streams with room for more end it, too, and so do `files` that can be read.
        """
        self._streams.pump()
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        for file in files:
            poller.register(file, zmq.POLLIN)
        for flow in self._streams.flowing.values():
            poller.register(flow.socket, zmq.POLLOUT)
        return dict(poller.poll(int(SLICE * 1000)))

    def close(self, *, linger: float = 0.0) -> None:
        """As the contract says; what is lent moves in here only, and has the same `linger` to leave."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + linger
        self._streams.close(end)
        with contextlib.suppress(zmq.ZMQError):
            self._context.destroy(linger=int(1000 * max(0.0, end - time.monotonic())))
