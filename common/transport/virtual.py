"""Virtual time: every rank a greenlet of this process, on a network of your choice. Deterministic.

    outcome = simulate(lambda ctx: ring(ctx, x[ctx.rank]), ranks=64, network=Network(latency=50e-6, bandwidth=125e6))

The network model, per message of M bytes from rank a to rank b:

    leaves a      when a's earlier messages have: a's egress is busy for overhead + M/bandwidth seconds a message
    reaches b     `latency` seconds (plus jitter) after it began to leave
    is delivered  when b's ingress, busy for overhead + M/bandwidth seconds a message, has taken it in

Both ends serialise, full duplex: one message alone takes latency + overhead + M/bandwidth, n messages to one rank
(incast) share its ingress. `recv_add` costs `reduce` seconds a byte. Computing costs nothing unless the program says
so with `ctx.sleep`.

A deadlock raises at once. Faults can be injected: `Kill` a rank, `Drop` what a link carries, `Delay` it.
"""

from __future__ import annotations

import functools
import gc
import heapq
import math
import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import greenlet
import numpy as np

from common.context import EMPTY, Array, Context, Optimizer, Place
from common.errors import DeadlineExceeded, Deadlock, PeerFailed, ProtocolError, RunError, step_name
from common.strategy import Vector
from common.transport.base import Endpoint, Message, as_bytes
from common.transport.meter import Metered


@dataclass(frozen=True, slots=True)
class Network:
    """Seconds and bytes per second; the same for every link. The default network costs nothing."""

    latency: float = 0.0
    bandwidth: float = math.inf
    overhead: float = 0.0
    reduce: float = 0.0
    jitter: float = 0.0  # each message's latency grows by a uniform share of this
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """Rank dies at a moment: what it has sent still arrives, then its peers see it gone."""

    rank: int
    at: float


@dataclass(frozen=True, slots=True)
class Drop:
    """What `src` sends to `dst` from `at` until `until` is lost."""

    src: int
    dst: int
    at: float = 0.0
    until: float = math.inf

    def holds(self, src: int, dst: int, when: float) -> bool:
        """Whether what `src` sends to `dst` at `when` is lost."""
        return (self.src, self.dst) == (src, dst) and self.at <= when < self.until


@dataclass(frozen=True, slots=True)
class Delay:
    """What `src` sends to `dst` from `at` until `until` takes `seconds` longer."""

    src: int
    dst: int
    seconds: float
    at: float = 0.0
    until: float = math.inf

    def holds(self, src: int, dst: int, when: float) -> bool:
        """Whether what `src` sends to `dst` at `when` is delayed."""
        return (self.src, self.dst) == (src, dst) and self.at <= when < self.until


Fault = Kill | Drop | Delay


@dataclass(slots=True)
class Outcome:
    """What each rank returned (None if it failed), what it raised, what it sent, and when the last one was done."""

    results: list[Any]
    errors: dict[int, BaseException]  # in the order in which they happened
    meters: list[Metered]
    seconds: float = 0.0

    def raise_first(self) -> None:
        """Raise the error that happened first, if there was one."""
        for error in self.errors.values():
            raise error


@dataclass(eq=False, slots=True)
class _Packet:
    """A message on its way. `data` is the sender's own array until `settle` if `checksum` is set, else a copy."""

    pipe: _Pipe
    seq: int
    step: int
    bucket: int
    data: Array
    checksum: int | None
    error: PeerFailed | None = None  # set: the sender is gone
    delivery: float = -1.0  # moment, once known
    number: int = 0  # of its events: ties are for the message posted first
    read: bool = False


_LENT = 16  # loans remembered before those already read are forgotten


class _Killed(BaseException):
    """Thrown into a rank to end it."""


@dataclass(eq=False, slots=True)
class _Pipe:
    """One direction between two ranks. Delivered packets wait in `box`; it is short, so a list will do."""

    src: int
    dst: _Rank
    box: list[_Packet] = field(default_factory=list)
    sent: int = 0  # next sequence number
    taken: int = 0  # expected sequence number
    due: float = 0.0  # when the last message begins to arrive: a link keeps its order


@dataclass(eq=False, slots=True)
class _Rank:
    """The hub's book on one rank."""

    place: Place
    run: greenlet.greenlet = field(init=False)
    pipes: dict[int, _Pipe] = field(default_factory=dict)  # from each peer that has sent something
    out: dict[int, _Pipe] = field(default_factory=dict)  # to each peer that it has sent something
    lent: list[_Packet] = field(default_factory=list)
    egress: float = 0.0  # busy until
    ingress: float = 0.0
    waits_for: tuple[int, ...] = ()
    since: float = 0.0
    ticket: int = 0  # of the wake-up it waits for; older ones are void
    timer: bool = False  # has an entry in the hub's timers
    alive: bool = True


class _Hub:
    """The clock and the network: runs whichever rank or event comes next."""

    def __init__(self, network: Network, faults: Sequence[Fault], deadline: float) -> None:
        self.network = network
        self.deadline = deadline
        self.ranks: list[_Rank] = []
        self.now = 0.0
        # (when, tie-breaker, rank, what): what is a packet that arrives, a ticket to wake up with, or an action
        self.events: list[tuple[float, int, _Rank, _Packet | int | Callable[[_Rank], None]]] = []
        self.timers: list[tuple[float, int]] = []
        self.count = 0
        self.random = random.Random(network.seed)
        self.kills = [fault for fault in faults if isinstance(fault, Kill)]
        self.drops = [fault for fault in faults if isinstance(fault, Drop)]
        self.delays = [fault for fault in faults if isinstance(fault, Delay)]
        self.faulty = bool(faults)
        self.errors: dict[int, BaseException] = {}
        self.main = greenlet.getcurrent()
        self.living = 0

    def at(self, when: float, rank: _Rank, what: _Packet | int | Callable[[_Rank], None]) -> None:
        """Let `what` happen to `rank` at a moment."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, rank, what))

    def loop(self) -> None:
        """Run until every rank is done. Raises Deadlock."""
        events = self.events
        while self.living:
            if self.timers and (self.faulty or events) and self._timer_is_next():
                self._fire_timer()
            elif events:
                self.now, _, rank, what = heapq.heappop(events)
                if type(what) is int:
                    if rank.ticket == what and rank.alive:
                        rank.run.switch()
                elif type(what) is _Packet:
                    self._arrive(rank, what)
                else:
                    what(rank)  # type: ignore[operator]
            else:
                raise self._deadlock()

    def _timer_is_next(self) -> bool:
        return not self.events or self.timers[0][0] < self.events[0][0]

    def _fire_timer(self) -> None:
        when, number = heapq.heappop(self.timers)
        rank = self.ranks[number]
        rank.timer = False
        if not (rank.alive and rank.waits_for):
            return
        if rank.since + self.deadline > when:
            self._set_timer(rank)
            return
        self.now = when
        self.throw(rank, self._too_late(rank, rank.waits_for))

    def _too_late(self, rank: _Rank, peers: tuple[int, ...]) -> DeadlineExceeded:
        names = " or ".join(f"rank {peer}" for peer in peers)
        return DeadlineExceeded(f"waited {self.deadline:g} s for {names}", peers=peers, **rank.place.fields())

    def _set_timer(self, rank: _Rank) -> None:
        rank.timer = True
        heapq.heappush(self.timers, (rank.since + self.deadline, rank.place.rank))

    def _deadlock(self) -> Deadlock:
        stuck = [rank for rank in self.ranks if rank.alive]
        lines = [
            f"{rank.place.role} rank {rank.place.rank} ({step_name(rank.place.step)}) waits for "
            + " or ".join(map(str, rank.waits_for))
            for rank in stuck[:16]
        ]
        more = f"; and {len(stuck) - 16} more" if len(stuck) > 16 else ""
        cause = f"deadlock at {self.now:g} s of virtual time: " + "; ".join(lines) + more
        return Deadlock(cause, **stuck[0].place.fields())

    # A rank's own calls: they run in its greenlet.

    def pipe(self, src: int, dst: int) -> _Pipe:
        """The way from `src` to `dst`. ValueError if there is no such rank."""
        pipe = self.ranks[src].out.get(dst)
        if pipe is None:
            self.check(src, (dst,))
            pipe = self.ranks[src].out[dst] = self.ranks[dst].pipes[src] = _Pipe(src, self.ranks[dst])
        return pipe

    def check(self, rank: int, peers: tuple[int, ...]) -> None:
        """ValueError if one of them is no other rank of this job, or if there is none."""
        if not peers:
            raise ValueError("waiting for nobody: give at least one rank")
        for peer in peers:
            if not 0 <= peer < len(self.ranks) or peer == rank:
                raise ValueError(f"rank {peer} is no peer of rank {rank}, of {len(self.ranks)} ranks")

    def post(self, packet: _Packet) -> None:
        """Put a message on the network; returns at once."""
        pipe, net = packet.pipe, self.network
        sender = self.ranks[pipe.src]
        start = max(self.now, sender.egress)
        service = net.overhead + packet.data.nbytes / net.bandwidth
        sender.egress = start + service
        packet.seq = pipe.sent
        pipe.sent += 1
        arrival = start + net.latency
        if net.jitter:
            arrival += self.random.uniform(0.0, net.jitter)
        if self.drops or self.delays:
            src, dst = pipe.src, pipe.dst.place.rank
            if any(fault.holds(src, dst, start) for fault in self.drops):
                return
            arrival += sum(fault.seconds for fault in self.delays if fault.holds(src, dst, start))
        pipe.due = max(arrival, pipe.due)
        self.at(pipe.due, pipe.dst, packet)
        packet.number = self.count

    def wait(self, rank: _Rank, peers: tuple[int, ...]) -> None:
        """Block `rank` until a packet from one of `peers` is delivered."""
        rank.waits_for = peers
        rank.since = self.now
        if not rank.timer:
            self._set_timer(rank)
        self.main.switch()

    def pause(self, rank: _Rank, seconds: float) -> None:
        """Let virtual time pass for one rank."""
        if seconds > 0:
            rank.ticket += 1
            self.at(self.now + seconds, rank, rank.ticket)
            self.main.switch()

    # Events: they run in the hub.

    def _arrive(self, rank: _Rank, packet: _Packet) -> None:
        if not rank.alive:
            return
        if packet.delivery < 0:  # it begins to arrive
            service = self.network.overhead + packet.data.nbytes / self.network.bandwidth
            rank.ingress = packet.delivery = max(self.now, rank.ingress) + service
            if packet.delivery > self.now:
                heapq.heappush(self.events, (packet.delivery, packet.number, rank, packet))
                return
        packet.pipe.box.append(packet)
        if packet.pipe.src in rank.waits_for:
            rank.waits_for = ()
            rank.ticket += 1
            rank.run.switch()

    def start(self, rank: _Rank) -> None:
        """Let a rank begin."""
        rank.run.switch()

    def throw(self, rank: _Rank, error: BaseException) -> None:
        """Raise `error` in a rank, whatever it waits for."""
        rank.ticket += 1
        rank.waits_for = ()
        rank.run.throw(error)

    def kill(self, rank: _Rank) -> None:
        """End a rank, if it still runs."""
        if rank.alive:
            self.throw(rank, _Killed())

    def gone(self, dead: _Rank, error: PeerFailed) -> None:
        """A rank failed: tell the others, behind everything that it sent before."""
        place = dead.place
        for other in self.ranks:
            if other.alive:
                pipe = self.pipe(place.rank, other.place.rank)
                self.post(_Packet(pipe, 0, place.step, place.bucket, EMPTY, None, error))


class VirtualEndpoint(Endpoint):
    """One rank's end of the virtual network."""

    def __init__(self, hub: _Hub, rank: _Rank) -> None:
        super().__init__(rank.place, hub.deadline)
        self.hub = hub
        self.rank = rank

    def send(self, to: int, array: Array) -> None:
        place = self.place
        pipe = self.hub.pipe(place.rank, to)
        self.hub.post(_Packet(pipe, 0, place.step, place.bucket, _flat(array).copy(), None))

    def lend(self, to: int, array: Array) -> None:
        if not array.flags.c_contiguous:
            as_bytes(array)  # says what is wrong
        place = self.place
        pipe = self.hub.pipe(place.rank, to)
        packet = _Packet(pipe, 0, place.step, place.bucket, array, zlib.crc32(array.data))
        lent = self.rank.lent
        lent.append(packet)
        if len(lent) >= _LENT:
            lent[:] = [packet for packet in lent if not packet.read]
        self.hub.post(packet)

    def settle(self) -> None:
        for packet in self.rank.lent:
            if not packet.read:
                self._check_loan(packet)
                packet.data, packet.checksum = packet.data.copy(), None
        self.rank.lent.clear()
        self.hub.pause(self.rank, self.rank.egress - self.hub.now)

    def recv_into(self, from_: int, out: Array) -> None:
        if not out.flags.c_contiguous or out.ndim != 1:
            out = _flat(out)
        out[:] = self._take(from_, out)

    def recv_add(self, from_: int, into: Array) -> None:
        if not into.flags.c_contiguous or into.ndim != 1:
            into = _flat(into)
        data = self._take(from_, into)
        np.add(into, data, into)
        if self.hub.network.reduce:
            self.hub.pause(self.rank, data.nbytes * self.hub.network.reduce)

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        out = _flat(out)
        pipe = self._first(from_)
        if pipe is None:
            self.hub.check(self.place.rank, from_)
            self.hub.wait(self.rank, from_)
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

    def _first(self, peers: tuple[int, ...]) -> _Pipe | None:
        """The one of the peers' pipes whose packet was delivered first; None if there is no packet."""
        full = [pipe for peer in peers if (pipe := self.rank.pipes.get(peer)) and pipe.box]
        return min(full, key=lambda pipe: pipe.box[0].delivery) if full else None

    def now(self) -> float:
        return self.hub.now

    def sleep(self, seconds: float) -> None:
        self.hub.pause(self.rank, seconds)

    def close(self, *, linger: float = 0.0) -> None:
        """Nothing to let go of."""

    def _take(self, from_: int, expected: Array) -> Array:
        """The next message from `from_`, flat, if it is the expected one. The hot path: one call, one condition."""
        pipe = self.rank.pipes.get(from_)
        if pipe is None or not pipe.box:
            if pipe is None:
                self.hub.check(self.place.rank, (from_,))
            self.hub.wait(self.rank, (from_,))
            pipe = self.rank.pipes[from_]
        packet, place = pipe.box[0], self.place
        data = packet.data
        if (
            packet.error is not None
            or packet.seq != pipe.taken
            or (packet.checksum is not None and packet.checksum != zlib.crc32(data.data))
        ):
            self._refuse_broken(packet)
        if (
            packet.step != place.step
            or packet.bucket != place.bucket
            or data.size != expected.size
            or data.dtype != expected.dtype
        ):
            wanted = f"step {place.step}, bucket {place.bucket}, {expected.size} × {expected.dtype}"
            raise self._unexpected(packet, wanted)
        del pipe.box[0]
        pipe.taken += 1
        packet.read = True
        return data if data.ndim == 1 else data.reshape(-1)

    def _refuse_broken(self, packet: _Packet) -> None:
        if packet.error is not None:
            raise packet.error  # stays in the box: whoever asks again hears the same
        pipe = packet.pipe
        if packet.seq != pipe.taken:
            lost = f"message {pipe.taken} from rank {pipe.src} was lost: message {packet.seq} came instead"
            raise ProtocolError(lost, **self.place.fields())
        self._check_loan(packet)

    def _check_loan(self, packet: _Packet) -> None:
        if packet.checksum is not None and packet.checksum != zlib.crc32(packet.data.data):
            cause = f"rank {packet.pipe.src} wrote to an array that it had lent, before it was read"
            raise ProtocolError(cause, **self.place.fields())

    def _unexpected(self, packet: _Packet, wanted: str) -> ProtocolError:
        got = f"step {packet.step}, bucket {packet.bucket}, {packet.data.size} × {packet.data.dtype}"
        return ProtocolError(f"expected {wanted} from rank {packet.pipe.src}, got {got}", **self.place.fields())


def _flat(array: Array) -> Array:
    """The array in one dimension; ValueError if it is strided."""
    if not array.flags.c_contiguous:
        as_bytes(array)  # says what is wrong
    return array.reshape(-1)


def simulate(
    program: Callable[[Context], Any],
    ranks: int,
    *,
    servers: int = 0,
    network: Network = Network(),
    faults: Iterable[Fault] = (),
    deadline: float = 60.0,
    optimizer: Callable[[Vector], Optimizer] | None = None,
    check: bool = True,
) -> Outcome:
    """Run `program(ctx)` on every rank in virtual time; the last `servers` ranks are servers.

    `deadline` is in virtual seconds. With `check`, the first error of any rank is raised; without, errors are in the
    outcome. A Deadlock is always raised.
    """
    hub = _Hub(network, tuple(faults), deadline)
    results: list[Any] = [None] * ranks
    meters: list[Metered] = []
    workers = ranks - servers

    def life(rank: _Rank, ctx: Context) -> None:
        failed: PeerFailed | None = None
        try:
            results[ctx.rank] = program(ctx)
        except _Killed:
            failed = PeerFailed(f"killed at {hub.now:g} s of virtual time", **ctx.place.fields())
            hub.errors[ctx.rank] = failed
        except PeerFailed as error:
            failed = hub.errors[ctx.rank] = error
        except Exception as error:
            hub.errors[ctx.rank] = error
            cause = error.cause if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
            failed = PeerFailed(cause, **ctx.place.fields())
        finally:
            rank.alive = False
            hub.living -= 1
        if failed is not None:
            hub.gone(rank, failed)

    for number in range(ranks):
        rank = _Rank(Place(number, "worker" if number < workers else "server"))
        meters.append(Metered(VirtualEndpoint(hub, rank)))
        ctx = Context(meters[-1], workers=workers, servers=servers, optimizer=optimizer)
        rank.run = greenlet.greenlet(functools.partial(life, rank, ctx), parent=hub.main)
        hub.ranks.append(rank)
        hub.at(0.0, rank, hub.start)
    for fault in hub.kills:
        hub.at(max(0.0, fault.at), hub.ranks[fault.rank], hub.kill)
    _run(hub)
    outcome = Outcome(results, hub.errors, meters, hub.now)
    if check:
        outcome.raise_first()
    return outcome


def _run(hub: _Hub) -> None:
    """Let the hub run to the end and leave no rank behind."""
    hub.living = len(hub.ranks)
    collecting = gc.isenabled()
    gc.disable()  # many live objects, no garbage in cycles: with 1,024 ranks the collector would take a quarter
    try:
        hub.loop()
    finally:
        for rank in hub.ranks:
            if rank.alive and rank.run:
                rank.run.throw(greenlet.GreenletExit)
        if collecting:
            gc.enable()
