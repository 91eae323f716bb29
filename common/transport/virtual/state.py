"""The scheduler's state of virtual time: ranks, their fibers, and messages on their way."""

from __future__ import annotations

from dataclasses import dataclass, field

import greenlet

from common.errors import PeerFailed
from common.place import Place
from common.types import Array


@dataclass(eq=False, slots=True)
class Packet:
    """A message on its way. If `checksum` is set, `data` is the sender's own array until `settle`, else a copy."""

    pipe: Pipe
    seq: int
    step: int
    bucket: int
    data: Array
    checksum: int | None
    error: PeerFailed | None = None  # set: the sender has failed
    delivery: float = -1.0  # the moment of delivery, once it is known
    tie_breaker: int = 0  # events of the same moment are ordered by it
    read: bool = False


class Killed(BaseException):
    """Thrown into a rank to end it."""


@dataclass(eq=False, slots=True)
class Pipe:
    """The way from rank `src` to another rank. `delivered` packets wait to be read; it is short, so a list will do."""

    src: int
    dst: RankState
    delivered: list[Packet] = field(default_factory=list)
    sent: int = 0  # the next packet's sequence number
    taken: int = 0  # the sequence number that the receiver expects
    last_arrival: float = 0.0  # when the last packet begins to arrive: no later packet begins before
    local: bool = False  # inside one machine: costs nothing


@dataclass(eq=False, slots=True)
class Port:
    """The connection of one machine to the network, shared by its ranks: the moments until which each way is busy."""

    egress: float = 0.0
    ingress: float = 0.0


@dataclass(eq=False, slots=True)
class RankState:
    """One rank as the scheduler sees it."""

    place: Place
    fibers: list[Fiber] = field(default_factory=list)  # the first runs the rank's program, `spawn` makes the others
    incoming: dict[int, Pipe] = field(default_factory=dict)  # by sender
    outgoing: dict[int, Pipe] = field(default_factory=dict)  # by receiver
    loans: list[Packet] = field(default_factory=list)
    port: Port = field(default_factory=Port)  # its machine's
    egress: float = 0.0  # when its last message has left
    alive: bool = True

    def current_fiber(self) -> Fiber:
        """Return the fiber that runs now."""
        first = self.fibers[0]
        if len(self.fibers) == 1:
            return first
        running = greenlet.getcurrent()
        return next(fiber for fiber in self.fibers if fiber.run is running)


@dataclass(eq=False, slots=True)
class Fiber:
    """A greenlet of a rank, and the reason why it waits."""

    rank: RankState
    number: int  # within its rank
    run: greenlet.greenlet
    waits_for: tuple[int, ...] = ()  # ranks
    wait_start: float = 0.0
    ticket: int = 0  # a wake-up with another ticket is void
    has_timer: bool = False  # has an entry in the scheduler's timers
