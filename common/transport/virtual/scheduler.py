"""The clock of virtual time: runs whichever rank or message comes next, one greenlet a rank, and one a `spawn`."""

from __future__ import annotations

import gc
import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import greenlet

from common.errors import DeadlineExceeded, Deadlock, PeerFailed, step_name
from common.transport.virtual.network import Delay, Drop, Fault, Kill, Network, holds
from common.transport.virtual.state import Fiber, Killed, Packet, Pipe, RankState
from common.types import EMPTY


class Scheduler:
    """The clock and the network: runs whichever rank or event comes next."""

    def __init__(self, network: Network, faults: Sequence[Fault], deadline: float) -> None:
        self.network = network
        self.deadline = deadline
        self.ranks: list[RankState] = []
        self.now = 0.0
        # (when, tie-breaker, to whom, what): a packet arrives at a rank, a ticket wakes a fiber, or a rank acts
        self.events: list[tuple[float, int, Any, Packet | int | Callable[[RankState], None]]] = []
        self.timers: list[tuple[float, int, int]] = []  # when, rank, fiber
        self.count = 0
        self.random = random.Random(network.seed)
        self.kills = [fault for fault in faults if isinstance(fault, Kill)]
        self.drops = [fault for fault in faults if isinstance(fault, Drop)]
        self.delays = [fault for fault in faults if isinstance(fault, Delay)]
        self.faulty = bool(faults)
        self.errors: dict[int, BaseException] = {}
        self.main = greenlet.getcurrent()
        self.living = 0

    def at(self, when: float, whom: RankState | Fiber, what: Packet | int | Callable[[RankState], None]) -> None:
        """Let `what` happen to a rank, or to a fiber, at a moment."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, whom, what))

    def loop(self) -> None:
        """Run until every rank is done. Raises Deadlock."""
        events = self.events
        while self.living:
            if self.timers and (self.faulty or events) and self._timer_is_next():
                self._fire_timer()
            elif events:
                self.now, _, whom, what = heapq.heappop(events)
                if type(what) is int:
                    if whom.ticket == what and whom.rank.alive:
                        whom.run.switch()
                elif type(what) is Packet:
                    if (fiber := self._arrive(whom, what)) is not None:
                        fiber.run.switch()
                else:
                    what(whom)  # type: ignore[operator]
            else:
                raise self._deadlock()

    def _timer_is_next(self) -> bool:
        return not self.events or self.timers[0][0] < self.events[0][0]

    def _fire_timer(self) -> None:
        when, number, which = heapq.heappop(self.timers)
        rank = self.ranks[number]
        fiber = rank.fibers[which]
        fiber.timer = False
        if not (rank.alive and fiber.waits_for):
            return
        if fiber.since + self.deadline > when:
            self._set_timer(fiber)
            return
        self.now = when
        self.throw(fiber, self._too_late(rank, fiber.waits_for))

    def _too_late(self, rank: RankState, peers: tuple[int, ...]) -> DeadlineExceeded:
        names = " or ".join(f"rank {peer}" for peer in peers)
        return DeadlineExceeded(f"waited {self.deadline:g} s for {names}", peers=peers, **rank.place.fields())

    def _set_timer(self, fiber: Fiber) -> None:
        fiber.timer = True
        heapq.heappush(self.timers, (fiber.since + self.deadline, fiber.rank.place.rank, fiber.number))

    def _deadlock(self) -> Deadlock:
        stuck = [rank for rank in self.ranks if rank.alive]
        lines = [
            f"{rank.place.role} rank {rank.place.rank} ({step_name(rank.place.step)}) waits for "
            + (" or ".join(str(peer) for fiber in rank.fibers for peer in fiber.waits_for) or "itself")
            for rank in stuck[:16]
        ]
        more = f"; and {len(stuck) - 16} more" if len(stuck) > 16 else ""
        cause = f"deadlock at {self.now:g} s of virtual time: " + "; ".join(lines) + more
        return Deadlock(cause, **stuck[0].place.fields())

    # A rank's own calls: they run in its greenlet.

    def pipe(self, src: int, dst: int) -> Pipe:
        """The way from `src` to `dst`. ValueError if there is no such rank."""
        pipe = self.ranks[src].out.get(dst)
        if pipe is None:
            self.check(src, (dst,))
            sender, receiver = self.ranks[src], self.ranks[dst]
            pipe = sender.out[dst] = receiver.pipes[src] = Pipe(src, receiver, local=sender.port is receiver.port)
        return pipe

    def check(self, rank: int, peers: tuple[int, ...]) -> None:
        """ValueError if one of them is no other rank of this job, or if there is none."""
        if not peers:
            raise ValueError("waiting for nobody: give at least one rank")
        for peer in peers:
            if not 0 <= peer < len(self.ranks) or peer == rank:
                raise ValueError(f"rank {peer} is no peer of rank {rank}, of {len(self.ranks)} ranks")

    def post(self, sender: RankState, packet: Packet) -> None:
        """Put a message of `sender` on the network; returns at once."""
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
        if self.drops or self.delays:
            src, dst = pipe.src, pipe.dst.place.rank
            if any(holds(fault, src, dst, start) for fault in self.drops):
                return
            arrival += sum(fault.seconds for fault in self.delays if holds(fault, src, dst, start))
        if arrival < pipe.due:
            arrival = pipe.due
        pipe.due = arrival
        packet.number = self.count = self.count + 1
        heapq.heappush(self.events, (arrival, self.count, pipe.dst, packet))

    def wait(self, rank: RankState, peers: tuple[int, ...]) -> None:
        """Block the running fiber of `rank` until a packet from one of `peers` is delivered."""
        fiber = rank.fiber()
        fiber.waits_for = peers
        fiber.since = self.now
        if not fiber.timer:
            self._set_timer(fiber)
        self._pass_on(fiber)

    def _pass_on(self, waiting: Fiber) -> None:
        """Return when `waiting` goes on. Runs what comes next from here if that is easy: half the switches."""
        events = self.events
        while events and type(events[0][3]) is Packet and not (self.timers and self._timer_is_next()):
            self.now, _, rank, packet = heapq.heappop(events)
            if (fiber := self._arrive(rank, packet)) is not None:  # type: ignore[arg-type]
                if fiber is not waiting:
                    fiber.run.switch()
                return
        self.main.switch()

    def pause(self, rank: RankState, seconds: float) -> None:
        """Let virtual time pass for the running fiber of a rank."""
        if seconds > 0:
            fiber = rank.fiber()
            fiber.ticket += 1
            self.at(self.now + seconds, fiber, fiber.ticket)
            self.main.switch()

    # Events: they run in the scheduler.

    def _arrive(self, rank: RankState, packet: Packet) -> Fiber | None:
        """A packet begins to arrive, or has arrived; returns the fiber that goes on with it, if one waits for it."""
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
                heapq.heappush(self.events, (packet.delivery, packet.number, rank, packet))
                return None
        pipe = packet.pipe
        pipe.box.append(packet)
        src = pipe.src
        for fiber in rank.fibers:
            if src in fiber.waits_for:
                fiber.waits_for = ()
                fiber.ticket += 1
                return fiber
        return None

    def begin(self, rank: RankState, life: Callable[[], None]) -> Fiber:
        """Let a rank run `life`, beside what else it runs, from now on."""
        fiber = Fiber(rank, len(rank.fibers), greenlet.greenlet(life, parent=self.main))
        rank.fibers.append(fiber)
        self.at(self.now, fiber, fiber.ticket)
        return fiber

    def throw(self, fiber: Fiber, error: BaseException) -> None:
        """Raise `error` in a fiber, whatever it waits for."""
        fiber.ticket += 1
        fiber.waits_for = ()
        fiber.run.throw(error)

    def abandon(self, rank: RankState) -> None:
        """End what a rank has spawned."""
        for fiber in rank.fibers[1:]:
            if fiber.run:  # has begun, and not ended
                self.throw(fiber, greenlet.GreenletExit())

    def kill(self, rank: RankState) -> None:
        """End a rank, if it still runs."""
        if rank.alive:
            self.throw(rank.fibers[0], Killed())

    def gone(self, dead: RankState, error: PeerFailed) -> None:
        """A rank failed: tell the others, behind everything that it sent before."""
        place = dead.place
        for other in self.ranks:
            if other.alive:
                pipe = self.pipe(place.rank, other.place.rank)
                self.post(dead, Packet(pipe, 0, place.step, place.bucket, EMPTY, None, error))


def run(scheduler: Scheduler) -> None:
    """Let the scheduler run to the end and leave no rank behind."""
    scheduler.living = len(scheduler.ranks)
    collecting = gc.isenabled()
    gc.disable()  # many live objects, no garbage in cycles: with 1,024 ranks the collector would take a quarter
    try:
        scheduler.loop()
    finally:
        for rank in scheduler.ranks:
            scheduler.abandon(rank)
            if rank.alive and rank.fibers[0].run:
                rank.fibers[0].run.throw(greenlet.GreenletExit)
        if collecting:
            gc.enable()
