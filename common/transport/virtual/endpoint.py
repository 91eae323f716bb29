"""The transport of virtual time: every rank is a greenlet of this process, on a simulated network. Deterministic.

    outcome = simulate(lambda ctx: ring(ctx, x[ctx.rank]), ranks=64, network=Network(latency=50e-6, bandwidth=125e6))

`network.py` has the model of the network and the faults, `scheduler.py` the clock. `recv_add` costs `reduce` seconds a
byte; other computing costs nothing unless the program calls `ctx.sleep`. A deadlock raises at once. This transport also
checks the rules for loans: a loan has a checksum, and an exposed array is filled with POISON until its answer has come.
"""

import zlib
from collections.abc import Callable

import numpy as np

from common.errors import ProtocolError, step_name
from common.transport.base import Endpoint, Message, address, as_bytes, flat
from common.transport.virtual.scheduler import Scheduler
from common.transport.virtual.state import Packet, Pipe, RankState
from common.transport.virtual.tasks import VirtualQueue, VirtualTask
from common.types import Array

POISON = 0xFF  # each byte of an exposed array: its elements are NaN, or -1
LOANS_KEPT = 16  # at this number, loans that have been read are forgotten


class VirtualEndpoint(Endpoint):
    """One rank's end of the simulated network."""

    def __init__(self, scheduler: Scheduler, rank: RankState) -> None:
        super().__init__(rank.place, scheduler.deadline)
        self.scheduler = scheduler
        self.rank = rank
        self._exposed: dict[tuple[int, int], Array] = {}  # not yet answered, by receiver and address

    def send(self, to: int, array: Array) -> None:
        place = self.place
        pipe = self.rank.outgoing.get(to) or self.scheduler.pipe(place.rank, to)
        self.scheduler.post(self.rank, Packet(pipe, 0, place.step, place.bucket, flat(array).copy(), None))

    def lend(self, to: int, array: Array) -> None:
        if not array.flags.c_contiguous:
            as_bytes(array)  # raises
        place = self.place
        pipe = self.rank.outgoing.get(to) or self.scheduler.pipe(place.rank, to)
        packet = Packet(pipe, 0, place.step, place.bucket, array, zlib.crc32(array))  # type: ignore[arg-type]
        loans = self.rank.loans
        loans.append(packet)
        if len(loans) >= LOANS_KEPT:
            loans[:] = [packet for packet in loans if not packet.read]
        self.scheduler.post(self.rank, packet)

    def expose(self, to: int, array: Array) -> None:
        """Send a copy and fill the array with POISON. A write to the array is noticed when the answer comes."""
        self.send(to, array)
        as_bytes(array).fill(POISON)
        self._exposed[to, address(array)] = array

    def settle(self) -> None:
        if self._exposed:
            debtor, _ = min(self._exposed)
            cause = f"it settles before it has received, in its place, rank {debtor}'s answer to what it exposed"
            raise ProtocolError(cause, **self.place.fields())
        for packet in self.rank.loans:
            if not packet.read:
                self._check_loan(packet)
                packet.data, packet.checksum = packet.data.copy(), None
        self.rank.loans.clear()
        self.scheduler.pause(self.rank, self.rank.egress - self.scheduler.now)

    def recv_into(self, from_: int, out: Array) -> None:
        if not out.flags.c_contiguous or out.ndim != 1:
            out = flat(out)
        data = self._take(from_, out)
        if self._exposed:
            self._end_exposure(from_, out)
        out[:] = data

    def _end_exposure(self, from_: int, out: Array) -> None:
        """If `out` was exposed to `from_`, give it back to this rank. ProtocolError if this rank wrote to it."""
        exposed = self._exposed.pop((from_, address(out)), None)
        if exposed is not None and (as_bytes(exposed) != POISON).any():
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
        while (pipe := self._first_delivered(from_)) is None:
            self.scheduler.check(self.place.rank, from_)
            self.scheduler.wait(self.rank, from_)
        packet = pipe.delivered[0]
        self._refuse_broken(packet)
        data = packet.data
        if data.dtype != out.dtype or data.size > out.size:
            raise self._unexpected(packet, f"at most {out.size} × {out.dtype}")
        del pipe.delivered[0]
        pipe.taken += 1
        packet.read = True
        out[: data.size] = data.reshape(-1)
        return Message(pipe.src, packet.step, packet.bucket, data.size)

    def _first_delivered(self, peers: tuple[int, ...]) -> Pipe | None:
        """Return the pipe of `peers` whose packet was delivered first, or None if there is no packet."""
        full = [pipe for peer in peers if (pipe := self.rank.incoming.get(peer)) and pipe.delivered]
        return min(full, key=lambda pipe: pipe.delivered[0].delivery) if full else None

    def now(self) -> float:
        return self.scheduler.now

    def sleep(self, seconds: float) -> None:
        self.scheduler.pause(self.rank, seconds)

    def spawn(self, fn: Callable[[], None]) -> VirtualTask:
        return VirtualTask(self.scheduler, self.rank, fn)

    def queue(self) -> VirtualQueue:
        return VirtualQueue(self.scheduler, self.rank)

    def abandon(self) -> None:
        self.scheduler.schedule(self.scheduler.now, self.rank, self.scheduler.abandon)

    def close(self, *, linger: float = 0.0) -> None:
        """Do nothing: this transport holds no resources."""

    def _take(self, from_: int, expected: Array) -> Array:
        """Return the next message from `from_`, flat, if it fits `expected`. Hot path: one call, few conditions."""
        pipe = self.rank.incoming.get(from_)
        if pipe is None or not pipe.delivered:
            if pipe is None:
                self.scheduler.check(self.place.rank, (from_,))
            self.scheduler.wait(self.rank, (from_,))
            pipe = self.rank.incoming[from_]
        packet, place = pipe.delivered[0], self.place
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
        del pipe.delivered[0]
        pipe.taken += 1
        packet.read = True
        return data if data.ndim == 1 else data.reshape(-1)

    def _refuse_broken(self, packet: Packet) -> None:
        if packet.error is not None:
            raise packet.error  # the packet stays in the pipe, so the next receive raises the same error
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
