"""Messages between processes over ZeroMQ (ipc or loopback tcp), with a plain stream beside it for large loans.

Each ordered pair of ranks has one PUSH-PULL pair of sockets. The receiver binds a PULL socket for each peer at its
start and publishes the addresses; the sender connects its PUSH at its first message. A PULL never sends, so a stranger
that connects can take nothing; what it sends lacks the job's id and is dropped. A full queue (`RECEIVE_AHEAD` segments)
holds back its sender alone. The sender's queue is unlimited, so two ranks that both send first cannot deadlock.

Theory of operation. `send` copies the array into ZeroMQ's queue, in segments. `lend` of STREAM_FROM bytes or more uses
the pair's stream (stream_set.py), smaller loans are sent. A receive looks at both ways without blocking, takes the
segment that is next in the sender's order (channel.py), and compares it with what it wants. While nothing is next it
sleeps in a poll on both ways, WAIT_SLICE at most; each sleep also sends on the rank's own loans and admits new streams,
so a wait for one peer holds up no other. A streamed payload is received in place; where it has to be added, it passes
through a scratch buffer in parts. A payload that an error leaves unread makes the next receive a ProtocolError. What
came from a sender before its death stays readable; `watch` reports the death. docs/transport.md has more on ZeroMQ.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import zmq

from common.errors import RunError
from common.runtime.rendezvous import Rendezvous
from common.transport import wire
from common.transport.base import Bytes, Message, as_bytes, flat
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.sockets.address import Addresses
from common.transport.sockets.channel import IncomingChannel, OutgoingChannel, Segment
from common.transport.sockets.stream_set import StreamSet
from common.types import Array

STREAM_FROM = 1 << 16  # bytes: copying less than this is faster than streaming it
ALIGNED = 64  # bytes: a whole number of elements of any dtype
SCRATCH_BYTES = 1 << 18  # a part this large is still in the cache when it is added


class ZmqEndpoint(ProcessEndpoint):
    """One rank's sockets. `job` is a random 64-bit id that its ranks share; `watch` raises when the job is over."""

    def __init__(
        self, ranks: int, address: Addresses, rendezvous: Rendezvous, job: int, watch: Callable[[], None]
    ) -> None:
        super().__init__(rendezvous.place, rendezvous.deadline, watch)
        self.rendezvous = rendezvous
        self.job = job
        self.strangers = 0  # messages dropped because they were not of this job
        self._outgoing: dict[int, OutgoingChannel] = {}
        self._scratch = np.empty(SCRATCH_BYTES, np.uint8)
        own = self.place.rank
        others = [rank for rank in range(ranks) if rank != own]
        with contextlib.ExitStack() as undo:
            try:
                self._streams = StreamSet(self, address(own, own), others)
                undo.callback(self._streams.close, 0.0)
                self._context = zmq.Context()
                undo.callback(self._context.destroy, linger=0)
                self._context.set(zmq.MAX_SOCKETS, max(1023, 2 * ranks + 16))
                self._incoming = {peer: IncomingChannel(self._context, address(own, peer), peer) for peer in others}
            except (OSError, zmq.ZMQError) as error:
                raise RunError(f"cannot listen: {error.strerror or error}", **self.place.fields()) from None
            invitation = self._streams.invitation
            published = {peer: json.dumps((channel.address, invitation)) for peer, channel in self._incoming.items()}
            rendezvous.publish(published)
            undo.pop_all()

    # Sending.

    def send(self, to: int, array: Array) -> None:
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        channel = self._channel_to(to)
        for offset in wire.segment_offsets(data.nbytes):
            channel.send_header(self.place, self.job, code, data.nbytes, offset)
            channel.socket.send(data[offset : offset + wire.SEGMENT_BYTES])

    def lend(self, to: int, array: Array) -> None:
        if array.nbytes < STREAM_FROM:
            self.send(to, array)
            return
        code = wire.dtype_code(array.dtype)
        data = as_bytes(array).data
        channel = self._channel_to(to)
        header = channel.stream_header(self.place, self.job, code, data.nbytes)
        self._streams.lend(to, channel.invitation, header, data)

    def _channel_to(self, to: int) -> OutgoingChannel:
        if (channel := self._outgoing.get(to)) is None:
            if to not in self._incoming:
                raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
            address, invitation = json.loads(self.rendezvous.lookup(to, self.watch))
            channel = self._outgoing[to] = OutgoingChannel(self._context, address, invitation)
        return channel

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
        sender, (header, frame) = self._first_segment(from_, end)
        fits = header.length <= out.nbytes and header.length % out.itemsize == 0 and header.offset == 0
        if header.dtype != wire.dtype_code(out.dtype) or not fits:
            raise self.unexpected(sender, header, f"at most {out.nbytes} bytes of {out.dtype}")
        size = header.length // out.itemsize
        if frame is None:
            self._fill(sender, as_bytes(elements[:size]), end)
        else:
            for start, piece in self._queued_pieces(sender, header, frame, out.dtype, end):
                elements[start : start + piece.size] = piece
        return Message(sender, header.step, header.bucket, size)

    def _pieces(self, from_: int, expected: Array, whole: Bytes | None) -> Iterator[tuple[int, Array | None]]:
        """Yield (index of the first element, elements) of each piece of the next message, if it fits `expected`.

        If `whole` is given, a streamed message is received there in place; then the elements are None.
        """
        place = self.place
        wanted = (wire.dtype_code(expected.dtype), place.step, place.bucket, expected.nbytes)
        end = time.monotonic() + self.deadline
        header, frame = self._segment(from_, end, expected.nbytes)
        if (header.dtype, header.step, header.bucket, header.length) != wanted or header.offset:
            raise self.unexpected(from_, header, self.describe_expected(expected))
        if frame is not None:
            yield from self._queued_pieces(from_, header, frame, expected.dtype, end)
        elif whole is not None:
            self._fill(from_, whole, end)
            yield 0, None
        else:
            parts = -(-header.length // SCRATCH_BYTES)  # of equal size: a short last part would cost one more wake-up
            step = -(-header.length // (parts * ALIGNED)) * ALIGNED
            for start in range(0, header.length, step):
                part = self._scratch[: min(step, header.length - start)]
                self._fill(from_, part, end)
                yield start // expected.itemsize, part.view(expected.dtype)

    def _queued_pieces(
        self, from_: int, header: wire.Header, frame: zmq.Frame, dtype: np.dtype, end: float
    ) -> Iterator[tuple[int, Array]]:
        """Yield (index of the first element, elements) of each segment of the queued message of `header`."""
        for offset in wire.segment_offsets(header.length):
            if offset:
                following, rest = self._segment(from_, end, 1)
                if rest is None or following != header._replace(seq=following.seq, offset=offset):
                    raise self.unexpected(from_, following, f"the rest of {header}")
                frame = rest
            yield offset // dtype.itemsize, np.frombuffer(frame.buffer, dtype)

    def _fill(self, from_: int, target: Bytes, end: float) -> None:
        """Fill `target` from the stream of `from_`. Blocks until `end` at most."""
        self._streams.fill(from_, target, end)
        self._incoming[from_].unread_payload -= target.size

    def _segment(self, from_: int, end: float, nbytes: int) -> Segment:
        """Take the next segment from `from_`; `nbytes` is its size if it is streamed. Blocks until `end` at most."""
        while (segment := self._read_ahead(from_).take_next(self.place)) is None:
            self._wait((from_,), nbytes)
            self.check(end, f"rank {from_}", (from_,))
        return segment

    def _first_segment(self, from_: tuple[int, ...], end: float) -> tuple[int, Segment]:
        """Take the next segment from any rank of `from_`; return rank and segment. The ranks take turns. Blocks."""
        last = self._last_served
        turn = [rank for rank in from_ if rank > last] + [rank for rank in from_ if rank <= last]
        while True:
            for rank in turn:
                if (segment := self._read_ahead(rank).take_next(self.place)) is not None:
                    self._last_served = rank
                    return rank, segment
            self._wait(turn, 1)
            self.idle()
            self.check(end, any_of(from_), from_)

    def has(self, from_: int) -> bool:
        self._streams.pump()
        self._streams.admit(self._streams.files_to_poll(from_, 1))
        return self._read_ahead(from_).has_next()

    def _read_ahead(self, from_: int) -> IncomingChannel:
        """Read what has come of the next segments of `from_` into its channel, and return the channel."""
        try:
            channel = self._incoming[from_]
        except KeyError:
            raise ValueError(f"rank {from_} is no peer of rank {self.place.rank}") from None
        may_read = channel.from_stream is None and not channel.unread_payload
        if may_read and (raw := self._streams.next_header(from_)) is not None:
            channel.from_stream = self._checked_stream_header(from_, raw)
        if channel.from_queue is None and (channel.from_stream is None or channel.from_stream.after != channel.queued):
            with contextlib.suppress(zmq.Again):
                channel.from_queue = channel.parse_segment(channel.socket.recv(zmq.NOBLOCK), self.job)
                self.strangers += channel.from_queue is None
        return channel

    def _checked_stream_header(self, from_: int, raw: bytes) -> wire.Header:
        """Decode a header from the stream of `from_`. ProtocolError if it is wrong: an admitted peer is no stranger."""
        try:
            header = wire.decode(raw)
            if (header.job, header.sender) != (self.job, from_):
                raise wire.WireError(f"of job {header.job} and of rank {header.sender}")
        except wire.WireError as error:
            wanted = f"a header of job {self.job} and of rank {from_}"
            raise self.unexpected(from_, f"a wrong one by stream: {error}", wanted) from None
        return header

    # Waiting and closing.

    def pump_or_sleep(self, other_file: int) -> bool:
        """Send on loans without waiting. If any is left, sleep a moment, as `sleep_for` does, and return True."""
        if not self._streams.pump():
            return False
        self._wait((), 1, other_file)
        return True

    def sleep_for(self, from_: tuple[int, ...], other_file: int) -> None:
        """Sleep for a moment at most, until a message from `from_` comes or `other_file` can be read."""
        if not any(map(self.has, from_)):
            self._wait(from_, 1, other_file)

    def _wait(self, peers: Iterable[int], nbytes: int, *files: int) -> None:
        """Sleep a moment at most, until one of `peers` has sent, one of `files` can be read, or a loan can go on.

        `nbytes` is the size of a message that may come by stream. Also admits new streams.
        """
        streams = self._streams
        streams.pump()
        sources: list[tuple[Any, int]] = [(stream.socket, zmq.POLLOUT) for stream in streams.unfinished.values()]
        sources += [(file, zmq.POLLIN) for file in files]
        for peer in peers:
            channel = self._incoming[peer]
            if channel.from_queue is None:
                sources.append((channel.socket, zmq.POLLIN))
            if channel.from_stream is None:
                sources += [(file, zmq.POLLIN) for file in streams.files_to_poll(peer, nbytes + wire.HEADER_BYTES)]
        ready = zmq.zmq_poll(sources, int(WAIT_SLICE * 1000))
        streams.admit(source for source, _ in ready)

    def close(self, *, linger: float = 0.0) -> None:
        """Close all sockets. Loans move only inside calls of the endpoint, so they get the `linger` here too."""
        end = time.monotonic() + linger
        self._streams.close(end)
        with contextlib.suppress(zmq.ZMQError):
            self._context.destroy(linger=int(1000 * max(0.0, end - time.monotonic())))
