"""Messages between processes: ZeroMQ over ipc or loopback tcp.

One PUSH-PULL pair of sockets for each ordered pair of ranks. The receiver binds a PULL socket per peer at start and
publishes the addresses; the sender connects its PUSH when it first has something to say. Why these sockets:

- A PUSH never receives and a PULL never sends, so a stranger who connects can take nothing and can only be heard;
  what it says lacks the job's id and is dropped. A DEALER or PAIR could be made to send to it.
- One socket a peer keeps a fast peer's messages in *its* queue: the receiver reads whom it waits for, buffers nothing
  for later, and a full queue (`RECEIVE_AHEAD` segments) holds back that sender alone.
- The sender's queue is unlimited, so `send` never blocks: two ranks that both send before they receive cannot
  deadlock. What waits there is what the algorithm has sent ahead.

What is lent and large goes another way: by a plain stream beside ZeroMQ (streams.py). Headers say what comes after
what, so a receiver waits for both and takes whichever is next.

No ZMTP heartbeats, no ROUTING_ID, no PUB/SUB: see the ZeroMQ notes in docs/transport.md.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import zmq

from common.errors import RunError
from common.place import Place
from common.runtime.rendezvous import Rendezvous
from common.transport import wire
from common.transport.base import Bytes, Message, as_bytes, flat
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.sockets.address import Addresses
from common.transport.sockets.channel import Incoming, Outgoing, Segment
from common.transport.sockets.stream_set import Streams
from common.types import Array

STREAM_FROM = 1 << 16  # bytes that are worth a stream: less is faster copied
ALIGNED = 64  # bytes: a whole number of elements of any dtype
SCRATCH = 1 << 18  # bytes: what is received at a time where it is added: it stays in the cache until it has been


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
        with contextlib.ExitStack() as undo:
            with self._listening():
                self._streams = Streams(self, address(place.rank, place.rank), others)
                undo.callback(self._streams.close, 0.0)
                self._context = zmq.Context()
                undo.callback(self._context.destroy, linger=0)
                self._context.set(zmq.MAX_SOCKETS, max(1023, 2 * peers + 16))
                self._in = {peer: Incoming(self._context, address(place.rank, peer), peer) for peer in others}
            doors = {peer: json.dumps((each.address, self._streams.door)) for peer, each in self._in.items()}
            rendezvous.publish(doors)
            undo.pop_all()

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
        out = self._connected(to)
        for offset in wire.segments(data.nbytes):
            out.head(self.place, self.job, code, data.nbytes, offset)
            out.socket.send(data[offset : offset + wire.SEGMENT])

    def lend(self, to: int, array: Array) -> None:
        if array.nbytes < STREAM_FROM:
            self.send(to, array)
            return
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        out = self._connected(to)
        self._streams.lend(to, out.door, out.stream_head(self.place, self.job, code, data.nbytes), data)

    def _connected(self, to: int) -> Outgoing:
        if (out := self._out.get(to)) is not None:
            return out
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
        sender, (header, frame) = self._first(from_, end)
        fits = header.length <= out.nbytes and header.length % out.itemsize == 0 and header.offset == 0
        if header.dtype != wire.dtype_code(out.dtype) or not fits:
            raise self.unexpected(sender, header, f"at most {out.nbytes} bytes of {out.dtype}")
        size = header.length // out.itemsize
        if frame is None:
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
        header, frame = self._segment(from_, end, expected.nbytes)
        if (header.dtype, header.step, header.bucket, header.length) != wanted or header.offset:
            raise self.unexpected(from_, header, self.describe_expected(expected))
        if frame is not None:
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
        self, from_: int, header: wire.Header, frame: zmq.Frame, dtype: np.dtype, end: float
    ) -> Iterator[tuple[int, Array]]:
        """Yield (index of its first element, elements) of each segment of a message, the first being `header`'s."""
        for offset in wire.segments(header.length):
            if offset:
                following, rest = self._segment(from_, end, 1)
                if rest is None or following != header._replace(seq=following.seq, offset=offset):
                    raise self.unexpected(from_, following, f"the rest of {header}")
                frame = rest
            yield offset // dtype.itemsize, np.frombuffer(frame.buffer, dtype)

    def _fill(self, from_: int, target: Bytes, end: float) -> None:
        """Fill `target` from the stream of `from_`. Blocks until `end` at most."""
        self._streams.fill(from_, target, end)
        self._in[from_].owed -= target.size

    def _segment(self, from_: int, end: float, nbytes: int) -> Segment:
        """The next segment from `from_`, of a message of `nbytes` if it is streamed. Blocks until `end` at most."""
        while (segment := self._arrived(from_)) is None:
            self._wait((from_,), nbytes)
            self.check(end, f"rank {from_}", (from_,))
        return segment

    def _arrived(self, from_: int) -> Segment | None:
        """The next segment from `from_`, taken, if it is there. Does not block."""
        return self._look(from_).arrived(self.place)

    def _look(self, from_: int) -> Incoming:
        """The channel of `from_`, into which is read what has come of the next segment."""
        channel = self._channel(from_)
        if channel.head is None and not channel.owed and (raw := self._streams.head(from_)) is not None:
            channel.head = self._trusted(from_, raw)
        if channel.ahead is None and (channel.head is None or channel.head.after != channel.queued):
            with contextlib.suppress(zmq.Again):
                channel.ahead = channel.segment(channel.socket.recv(zmq.NOBLOCK), self.job)
                self.strangers += channel.ahead is None
        return channel

    def _trusted(self, from_: int, raw: bytes) -> wire.Header:
        """The header that came by stream from `from_`, which is no stranger. ProtocolError if it is none."""
        try:
            header = wire.decode(raw)
        except wire.WireError as error:
            raise self.unexpected(from_, f"by stream what is no header: {error}", "a header") from None
        if (header.job, header.sender) != (self.job, from_):
            got = f"one of job {header.job} and rank {header.sender}"
            raise self.unexpected(from_, got, f"a header of job {self.job} and of rank {from_}")
        return header

    def pump_or_sleep(self, other: int) -> bool:
        """Send on what was lent, as far as that goes without waiting; whether something is left.

        Then it has slept until that could go on or `other`, an open file, could be read, for a moment at most.
        """
        if not self._streams.pump():
            return False
        self._wait((), 1, other)
        return True

    def sleep_for(self, from_: tuple[int, ...], other: int) -> None:
        """Sleep until something comes from one of `from_` or `other`, an open file, can be read; a moment at most."""
        if not any(map(self.has, from_)):
            self._wait(from_, 1, other)

    def has(self, from_: int) -> bool:
        self._streams.pump()
        self._streams.admit(self._streams.sources(from_, 1))
        return self._look(from_).is_next()

    def _channel(self, peer: int) -> Incoming:
        try:
            return self._in[peer]
        except KeyError:
            raise ValueError(f"rank {peer} is no peer of rank {self.place.rank}") from None

    def _first(self, from_: tuple[int, ...], end: float) -> tuple[int, Segment]:
        """The next segment from any peer of `from_`, and whose it is; they take turns. Blocks until `end` at most."""
        turn = [peer for peer in from_ if peer > self._served] + [peer for peer in from_ if peer <= self._served]
        while True:
            for peer in turn:
                if (segment := self._arrived(peer)) is not None:
                    self._served = peer
                    return peer, segment
            self._wait(turn, 1)
            self.idle()
            self.check(end, any_of(from_), from_)

    def _wait(self, peers: Iterable[int], nbytes: int, *files: int) -> None:
        """Sleep a moment at most, until a peer has sent something, or a stream with something left has room.

        Or until one of `files` can be read. `nbytes` are those of a message that may come by stream. Takes in the
        streams that have come.
        """
        streams = self._streams
        streams.pump()
        sources: list[tuple[Any, int]] = [(flow.socket, zmq.POLLOUT) for flow in streams.flowing.values()]
        sources += [(file, zmq.POLLIN) for file in files]
        for peer in peers:
            channel = self._in[peer]
            if channel.ahead is None:
                sources.append((channel.socket, zmq.POLLIN))
            if channel.head is None:
                sources += [(source, zmq.POLLIN) for source in streams.sources(peer, nbytes + wire.HEADER_BYTES)]
        ready = zmq.zmq_poll(sources, int(WAIT_SLICE * 1000))
        streams.admit(source for source, _ in ready)

    def close(self, *, linger: float = 0.0) -> None:
        """As the contract says; what is lent moves in here only, and has the same `linger` to leave."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + linger
        self._streams.close(end)
        with contextlib.suppress(zmq.ZMQError):
            self._context.destroy(linger=int(1000 * max(0.0, end - time.monotonic())))
