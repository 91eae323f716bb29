"""What the scheduler of virtual time knows of the ranks, of their fibers, and of messages on their way."""

from __future__ import annotations

from dataclasses import dataclass, field

import greenlet

from common.errors import PeerFailed
from common.place import Place
from common.types import Array


@dataclass(eq=False, slots=True)
class Packet:
    """A message on its way. `data` is the sender's own array until `settle` if `checksum` is set, else a copy."""

    pipe: Pipe
    seq: int
    step: int
    bucket: int
    data: Array
    checksum: int | None
    error: PeerFailed | None = None  # set: the sender is gone
    delivery: float = -1.0  # moment, once known
    number: int = 0  # of its events: ties are for the message posted first
    read: bool = False


class Killed(BaseException):
    """Thrown into a rank to end it."""


@dataclass(eq=False, slots=True)
class Pipe:
    """One direction between two ranks. Delivered packets wait in `box`; it is short, so a list will do."""

    src: int
    dst: RankState
    box: list[Packet] = field(default_factory=list)
    sent: int = 0  # next sequence number
    taken: int = 0  # expected sequence number
    due: float = 0.0  # when the last message begins to arrive: a link keeps its order
    local: bool = False  # inside one machine: costs nothing


@dataclass(eq=False, slots=True)
class Port:
    """What connects a machine to the network; its ranks share it. Each way is busy until then."""

    egress: float = 0.0
    ingress: float = 0.0


@dataclass(eq=False, slots=True)
class RankState:
    """The scheduler's book on one rank."""

    place: Place
    fibers: list[Fiber] = field(default_factory=list)  # the first is its life, the others were spawned
    pipes: dict[int, Pipe] = field(default_factory=dict)  # from each peer that has sent something
    out: dict[int, Pipe] = field(default_factory=dict)  # to each peer that it has sent something
    lent: list[Packet] = field(default_factory=list)
    port: Port = field(default_factory=Port)  # its machine's
    egress: float = 0.0  # when all that it has sent has left
    alive: bool = True

    def fiber(self) -> Fiber:
        """The one that runs now."""
        first = self.fibers[0]
        if len(self.fibers) == 1:
            return first
        running = greenlet.getcurrent()
        return next(fiber for fiber in self.fibers if fiber.run is running)


@dataclass(eq=False, slots=True)
class Fiber:
    """A greenlet of a rank, and what it waits for."""

    rank: RankState
    number: int  # in its rank
    run: greenlet.greenlet
    waits_for: tuple[int, ...] = ()
    since: float = 0.0
    ticket: int = 0  # of the wake-up it waits for; older ones are void
    timer: bool = False  # has an entry in the scheduler's timers
