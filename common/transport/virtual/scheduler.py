"""The scheduler of virtual time: a clock that runs whichever rank or message comes next.

Each rank is a fiber (a greenlet), each `spawn` another, and all run in one thread. `now` moves only when the scheduler
takes the earliest entry of one of two heaps. Entries of the same moment come in the order in which they were made, so a
run is deterministic.

    events   a packet begins to arrive at a rank, or is delivered; a ticket wakes a fiber; an action on a rank
    timers   the deadline of a fiber that waits for a packet

Theory of operation. A fiber runs until it calls `wait` (for a packet), `pause` (for time) or `get` of an empty queue.
`wait` notes the peers in `waits_for`. A delivery appends the packet to its pipe, so no packet is lost if none waits.
It then resumes the fiber that waits for this peer, and raises the fiber's ticket: older wake-ups of it are void. A pipe
lets no packet begin to arrive before an earlier one, so the order of a pair is kept.

A fiber has at most one timer. When it fires and the current wait began later, it is set anew. With no event left,
nothing can ever arrive: this is a Deadlock at once. With faults the timers still run: a message may be lost.

When a rank fails or is killed, `announce_failure` sends its error to each living rank, behind all earlier messages. The
error stays in the pipe, so each later receive from the dead rank raises it. A packet for a dead rank is dropped.
"""

import gc
import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import greenlet

from common.errors import DeadlineExceeded, Deadlock, PeerFailed, step_name
from common.transport.virtual.network import Delay, Drop, Fault, Kill, Network
from common.transport.virtual.state import Fiber, Killed, Packet, Pipe, RankState
from common.types import EMPTY

SHOWN = 16  # ranks that the message of a deadlock names
Event = Packet | int | Callable[[RankState], None]  # a message, the ticket of a fiber, or an action on a rank


class Scheduler:
    """The clock and the network of one simulation."""

    def __init__(self, network: Network, faults: Sequence[Fault], deadline: float) -> None:
        self.network = network
        self.deadline = deadline
        self.ranks: list[RankState] = []
        self.now = 0.0
        self.events: list[tuple[float, int, Any, Event]] = []  # (moment, tie-breaker, rank or fiber, event)
        self.timers: list[tuple[float, int, int]] = []  # (moment, rank, number of the fiber)
        self.count = 0  # of events made so far
        self.random = random.Random(network.seed)
        self.kills = [fault for fault in faults if isinstance(fault, Kill)]
        self.link_faults = [fault for fault in faults if not isinstance(fault, Kill)]
        self.faulty = bool(faults)
        self.errors: dict[int, BaseException] = {}
        self.main = greenlet.getcurrent()
        self.ranks_alive = 0

    def schedule(self, when: float, target: RankState | Fiber, event: Event) -> None:
        """Make `event` happen to a rank or a fiber at the moment `when`."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, target, event))

    def run(self) -> None:
        """Run until every rank has ended, and leave no fiber behind. Raises Deadlock."""
        self.ranks_alive = len(self.ranks)
        collecting = gc.isenabled()
        gc.disable()  # there is no garbage in cycles; with 1,024 ranks the collector would take a quarter of the time
        try:
            self._loop()
        finally:
            for rank in self.ranks:
                self.abandon(rank)
                if rank.alive and rank.fibers[0].run:
                    rank.fibers[0].run.throw(greenlet.GreenletExit)
            if collecting:
                gc.enable()

    def _loop(self) -> None:
        events = self.events
        while self.ranks_alive:
            if self.timers and (self.faulty or events) and self._timer_is_next():
                self._fire_timer()
            elif events:
                self.now, _, target, event = heapq.heappop(events)
                if type(event) is int:
                    if target.ticket == event and target.rank.alive:
                        target.run.switch()
                elif type(event) is Packet:
                    if (fiber := self._arrive(target, event)) is not None:
                        fiber.run.switch()
                else:
                    event(target)  # type: ignore[operator]
            else:
                raise self._deadlock()

    def _timer_is_next(self) -> bool:
        return not self.events or self.timers[0][0] < self.events[0][0]

    def _fire_timer(self) -> None:
        when, rank_number, fiber_number = heapq.heappop(self.timers)
        rank = self.ranks[rank_number]
        fiber = rank.fibers[fiber_number]
        fiber.has_timer = False
        if not (rank.alive and fiber.waits_for):
            return
        if fiber.wait_start + self.deadline > when:
            self._set_timer(fiber)
            return
        self.now = when
        cause = f"waited {self.deadline:g} s for " + " or ".join(f"rank {peer}" for peer in fiber.waits_for)
        self.throw(fiber, DeadlineExceeded(cause, peers=fiber.waits_for, **rank.place.fields()))

    def _set_timer(self, fiber: Fiber) -> None:
        fiber.has_timer = True
        heapq.heappush(self.timers, (fiber.wait_start + self.deadline, fiber.rank.place.rank, fiber.number))

    def _deadlock(self) -> Deadlock:
        stuck = [rank for rank in self.ranks if rank.alive]
        lines = [
            f"{rank.place.role} rank {rank.place.rank} ({step_name(rank.place.step)}) waits for "
            + (" or ".join(str(peer) for fiber in rank.fibers for peer in fiber.waits_for) or "itself")
            for rank in stuck[:SHOWN]
        ]
        more = f"; and {len(stuck) - SHOWN} more" if len(stuck) > SHOWN else ""
        cause = f"deadlock at {self.now:g} s of virtual time: " + "; ".join(lines) + more
        return Deadlock(cause, **stuck[0].place.fields())

    # Calls of a rank: they run in its fiber.

    def pipe(self, src: int, dst: int) -> Pipe:
        """Return the way from `src` to `dst`. ValueError if there is no such rank."""
        pipe = self.ranks[src].outgoing.get(dst)
        if pipe is None:
            self.check(src, (dst,))
            sender, receiver = self.ranks[src], self.ranks[dst]
            pipe = Pipe(src, receiver, local=sender.port is receiver.port)
            sender.outgoing[dst] = receiver.incoming[src] = pipe
        return pipe

    def check(self, rank: int, peers: tuple[int, ...]) -> None:
        """Raise ValueError unless `peers` has at least one rank and all are other ranks of this job."""
        if not peers:
            raise ValueError("waiting for nobody: give at least one rank")
        for peer in peers:
            if not 0 <= peer < len(self.ranks) or peer == rank:
                raise ValueError(f"rank {peer} is no peer of rank {rank}, of {len(self.ranks)} ranks")

    def post(self, sender: RankState, packet: Packet) -> None:
        """Put a message of `sender` on the network. Does not block."""
        pipe, net, port = packet.pipe, self.network, sender.port
        packet.seq = pipe.sent
        pipe.sent += 1
        if pipe.local:
            start = arrival = self.now
        else:
            start = max(self.now, port.egress)
            sender.egress = port.egress = start + net.overhead + packet.data.nbytes / net.bandwidth
            arrival = start + net.latency
            if net.jitter:
                arrival += self.random.uniform(0.0, net.jitter)
        if self.link_faults:
            link = pipe.src, pipe.dst.place.rank
            faults = [it for it in self.link_faults if (it.src, it.dst) == link and it.at <= start < it.until]
            if any(isinstance(fault, Drop) for fault in faults):
                return
            arrival += sum(fault.seconds for fault in faults if isinstance(fault, Delay))
        if arrival < pipe.last_arrival:
            arrival = pipe.last_arrival
        pipe.last_arrival = arrival
        packet.tie_breaker = self.count = self.count + 1
        heapq.heappush(self.events, (arrival, self.count, pipe.dst, packet))

    def wait(self, rank: RankState, peers: tuple[int, ...]) -> None:
        """Block the current fiber of `rank` until a packet from one of `peers` is delivered."""
        fiber = rank.current_fiber()
        fiber.waits_for = peers
        fiber.wait_start = self.now
        if not fiber.has_timer:
            self._set_timer(fiber)
        self._run_others(fiber)

    def _run_others(self, waiting: Fiber) -> None:
        """Run other fibers until `waiting` is resumed. Deliver packets from here: this saves half of the switches."""
        events = self.events
        while events and type(events[0][3]) is Packet and not (self.timers and self._timer_is_next()):
            self.now, _, rank, packet = heapq.heappop(events)
            if (fiber := self._arrive(rank, packet)) is not None:  # type: ignore[arg-type]
                if fiber is not waiting:
                    fiber.run.switch()
                return
        self.main.switch()

    def pause(self, rank: RankState, seconds: float) -> None:
        """Block the current fiber of `rank` for `seconds` of virtual time."""
        if seconds > 0:
            fiber = rank.current_fiber()
            fiber.ticket += 1
            self.schedule(self.now + seconds, fiber, fiber.ticket)
            self.main.switch()

    # Events.

    def _arrive(self, rank: RankState, packet: Packet) -> Fiber | None:
        """Let a packet begin to arrive, or deliver it. Return the fiber that waits for it, if any."""
        if not rank.alive:
            return None
        if packet.delivery < 0:  # it begins to arrive
            if packet.pipe.local:
                packet.delivery = self.now
            else:
                port = rank.port
                service = self.network.overhead + packet.data.nbytes / self.network.bandwidth
                port.ingress = packet.delivery = max(self.now, port.ingress) + service
            if packet.delivery > self.now:
                heapq.heappush(self.events, (packet.delivery, packet.tie_breaker, rank, packet))
                return None
        pipe = packet.pipe
        pipe.delivered.append(packet)
        src = pipe.src
        for fiber in rank.fibers:
            if src in fiber.waits_for:
                fiber.waits_for = ()
                fiber.ticket += 1
                return fiber
        return None

    def start_fiber(self, rank: RankState, body: Callable[[], None]) -> None:
        """Run `body` in a new fiber of a rank, from now on."""
        fiber = Fiber(rank, len(rank.fibers), greenlet.greenlet(body, parent=self.main))
        rank.fibers.append(fiber)
        self.schedule(self.now, fiber, fiber.ticket)

    def throw(self, fiber: Fiber, error: BaseException) -> None:
        """Raise `error` in a fiber that waits or pauses."""
        fiber.ticket += 1
        fiber.waits_for = ()
        fiber.run.throw(error)

    def abandon(self, rank: RankState) -> None:
        """End the fibers that a rank has spawned."""
        for fiber in rank.fibers[1:]:
            if fiber.run:  # has begun and not ended
                self.throw(fiber, greenlet.GreenletExit())

    def kill(self, rank: RankState) -> None:
        """End a rank if it still runs."""
        if rank.alive:
            self.throw(rank.fibers[0], Killed())

    def announce_failure(self, dead: RankState, error: PeerFailed) -> None:
        """Send `error` to all living ranks, behind all earlier messages of the rank that failed."""
        place = dead.place
        for other in self.ranks:
            if other.alive:
                pipe = self.pipe(place.rank, other.place.rank)
                self.post(dead, Packet(pipe, 0, place.step, place.bucket, EMPTY, None, error))
