"""Virtual time: every rank a greenlet of this process, on a network of your choice. Deterministic.

    outcome = simulate(lambda ctx: ring(ctx, x[ctx.rank]), ranks=64, network=Network(latency=50e-6, bandwidth=125e6))

`network.py` is the model of the network, `scheduler.py` the clock. `recv_add` costs `reduce` seconds a byte; other
computing costs nothing unless the program says so with `ctx.sleep`.

A deadlock raises at once. Faults can be injected: `Kill` a rank, `Drop` what a link carries, `Delay` it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from common.errors import ProtocolError, step_name
from common.transport.base import Endpoint, Message, address, as_bytes, flat
from common.transport.virtual.scheduler import Scheduler
from common.transport.virtual.state import Packet, Pipe, RankState
from common.transport.virtual.tasks import VirtualQueue, VirtualTask
from common.types import Array

ALIEN = 0xFF  # each byte of what is exposed: NaN, or -1
_LENT = 16  # loans remembered before those already read are forgotten


class VirtualEndpoint(Endpoint):
    """One rank's end of the virtual network."""

    def __init__(self, scheduler: Scheduler, rank: RankState) -> None:
        super().__init__(rank.place, scheduler.deadline)
        self.scheduler = scheduler
        self.rank = rank
        self._exposed: dict[tuple[int, int], Array] = {}  # what has no answer yet, by who owes it and where it goes

    def send(self, to: int, array: Array) -> None:
        place = self.place
        pipe = self.rank.out.get(to) or self.scheduler.pipe(place.rank, to)
        self.scheduler.post(self.rank, Packet(pipe, 0, place.step, place.bucket, flat(array).copy(), None))

    def lend(self, to: int, array: Array) -> None:
        if not array.flags.c_contiguous:
            as_bytes(array)  # says what is wrong
        place = self.place
        pipe = self.rank.out.get(to) or self.scheduler.pipe(place.rank, to)
        packet = Packet(pipe, 0, place.step, place.bucket, array, zlib.crc32(array))  # type: ignore[arg-type]
        lent = self.rank.lent
        lent.append(packet)
        if len(lent) >= _LENT:
            lent[:] = [packet for packet in lent if not packet.read]
        self.scheduler.post(self.rank, packet)

    def expose(self, to: int, array: Array) -> None:
        """Who reads the array before it has been answered finds NaN, or -1; who has written to it is caught then."""
        self.send(to, array)
        as_bytes(array).fill(ALIEN)
        self._exposed[to, address(array)] = array

    def settle(self) -> None:
        if self._exposed:
            debtor, _ = min(self._exposed)
            cause = f"it settles before it has received, in its place, rank {debtor}'s answer to what it exposed"
            raise ProtocolError(cause, **self.place.fields())
        for packet in self.rank.lent:
            if not packet.read:
                self._check_loan(packet)
                packet.data, packet.checksum = packet.data.copy(), None
        self.rank.lent.clear()
        self.scheduler.pause(self.rank, self.rank.egress - self.scheduler.now)

    def recv_into(self, from_: int, out: Array) -> None:
        if not out.flags.c_contiguous or out.ndim != 1:
            out = flat(out)
        data = self._take(from_, out)
        if self._exposed:
            self._take_back(from_, out)
        out[:] = data

    def _take_back(self, from_: int, out: Array) -> None:
        """The answer of `from_` goes to `out`: if that is what was exposed to it, it is this rank's again."""
        exposed = self._exposed.pop((from_, address(out)), None)
        if exposed is not None and (as_bytes(exposed) != ALIEN).any():
            cause = f"it wrote to what it had exposed to rank {from_}, before that was answered"
            raise ProtocolError(cause, **self.place.fields())

    def recv_add(self, from_: int, into: Array) -> None:
        if not into.flags.c_contiguous or into.ndim != 1:
            into = flat(into)
        data = self._take(from_, into)
        np.add(into, data, into)
        if self.scheduler.network.reduce:
            self.scheduler.pause(self.rank, data.nbytes * self.scheduler.network.reduce)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        out = flat(out)
        pipe = self._first(from_)
        if pipe is None:
            self.scheduler.check(self.place.rank, from_)
            self.scheduler.wait(self.rank, from_)
            pipe = self._first(from_)
            assert pipe is not None
        packet = pipe.box[0]
        self._refuse_broken(packet)
        data = packet.data
        if data.dtype != out.dtype or data.size > out.size:
            raise self._unexpected(packet, f"at most {out.size} × {out.dtype}")
        del pipe.box[0]
        pipe.taken += 1
        packet.read = True
        out[: data.size] = data.reshape(-1)
        return Message(pipe.src, packet.step, packet.bucket, data.size)

    def _first(self, peers: tuple[int, ...]) -> Pipe | None:
        """The one of the peers' pipes whose packet was delivered first; None if there is no packet."""
        full = [pipe for peer in peers if (pipe := self.rank.pipes.get(peer)) and pipe.box]
        return min(full, key=lambda pipe: pipe.box[0].delivery) if full else None

    def now(self) -> float:
        return self.scheduler.now

    def sleep(self, seconds: float) -> None:
        self.scheduler.pause(self.rank, seconds)

    def spawn(self, fn: Callable[[], None]) -> VirtualTask:
        return VirtualTask(self.scheduler, self.rank, fn)

    def queue(self) -> VirtualQueue:
        return VirtualQueue(self.scheduler, self.rank)

    def abandon(self) -> None:
        self.scheduler.at(self.scheduler.now, self.rank, self.scheduler.abandon)

    def close(self, *, linger: float = 0.0) -> None:
        """Nothing to let go of."""

    def _take(self, from_: int, expected: Array) -> Array:
        """The next message from `from_`, flat, if it is the expected one. The hot path: one call, one condition."""
        pipe = self.rank.pipes.get(from_)
        if pipe is None or not pipe.box:
            if pipe is None:
                self.scheduler.check(self.place.rank, (from_,))
            self.scheduler.wait(self.rank, (from_,))
            pipe = self.rank.pipes[from_]
        packet, place = pipe.box[0], self.place
        data = packet.data
        if (
            packet.error is not None
            or packet.seq != pipe.taken
            or (packet.checksum is not None and packet.checksum != zlib.crc32(data))  # type: ignore[arg-type]
        ):
            self._refuse_broken(packet)
        if (
            packet.step != place.step
            or packet.bucket != place.bucket
            or data.size != expected.size
            or data.dtype != expected.dtype
        ):
            wanted = f"{step_name(place.step)}, bucket {place.bucket}, {expected.size} × {expected.dtype}"
            raise self._unexpected(packet, wanted)
        del pipe.box[0]
        pipe.taken += 1
        packet.read = True
        return data if data.ndim == 1 else data.reshape(-1)

    def _refuse_broken(self, packet: Packet) -> None:
        if packet.error is not None:
            raise packet.error  # stays in the box: whoever asks again hears the same
        pipe = packet.pipe
        if packet.seq != pipe.taken:
            lost = f"message {pipe.taken} from rank {pipe.src} was lost: message {packet.seq} came instead"
            raise ProtocolError(lost, **self.place.fields())
        self._check_loan(packet)

    def _check_loan(self, packet: Packet) -> None:
        if packet.checksum is not None and packet.checksum != zlib.crc32(packet.data):  # type: ignore[arg-type]
            cause = f"rank {packet.pipe.src} wrote to an array that it had lent, before it was read"
            raise ProtocolError(cause, **self.place.fields())

    def _unexpected(self, packet: Packet, wanted: str) -> ProtocolError:
        got = f"{step_name(packet.step)}, bucket {packet.bucket}, {packet.data.size} × {packet.data.dtype}"
        return ProtocolError(f"expected {wanted} from rank {packet.pipe.src}, got {got}", **self.place.fields())
