"""When may a worker go on: one small class per consistency, over what the shard knows.

Two kinds: BSP and Backup add up the gradients of a step until it closes; SSP and ASP apply each one as it comes,
divided by the number of workers, so that one learning rate serves all four.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ps.shard import Shard

Verdict = Literal["add", "apply", "drop", "duplicate", "wait", "refuse"]


class Consistency(ABC):
    """What a shard asks at every push. None of it changes the shard."""

    name: str  # as in Traits.consistency
    at_once = False  # whether gradients are applied as they come, so that no two servers ever need to agree on a step
    lockstep = False  # whether a step has one push of every worker, and parameters change between these and the answers

    def due(self, shard: Shard) -> tuple[int, ...]:
        """The workers whose next push may be taken now."""
        return tuple(shard.workers)

    @abstractmethod
    def verdict(self, shard: Shard, worker: int, step: int) -> Verdict:
        """What becomes of the gradient that `worker` computed in `step`.

        add        to the sum of the open step
        apply      at once
        drop       it is late
        duplicate  it is in already: leave it out
        wait       the shard has not come so far: push it again when the version has changed
        refuse     it is not this worker's next
        """

    @abstractmethod
    def may_go_on(self, shard: Shard, worker: int) -> bool:
        """Whether `worker`, which has pushed, may have the parameters."""

    def closes(self, shard: Shard) -> bool:
        """Whether the gradients added up so far make a step."""
        return False

    def may_leave(self, shard: Shard) -> bool:
        """Whether a worker may leave now: not if the open step cannot close without it."""
        return True

    def progress(self, shard: Shard) -> int:
        """How many steps are done, as checkpoints count them."""
        return shard.version

    def stamp(self, shard: Shard, step: int) -> int:
        """The step that the answer to a push of `step` is stamped with."""
        return step

    def damping(self, staleness: int) -> float:
        """What multiplies the learning rate of an update that comes `staleness` steps late."""
        return 1.0


class BSP(Consistency):
    """Bulk synchronous parallel (Valiant 1990): nobody starts the next step before everybody has finished this one.

    Pushes are taken in rank order, so the sum has one order and the result one set of bits, whoever comes first; the
    others wait in their own queues and cost the server no memory.
    """

    name = "bsp"
    lockstep = True

    def due(self, shard: Shard) -> tuple[int, ...]:
        return tuple(worker for worker in shard.workers if worker not in shard.taken)[:1]

    def verdict(self, shard: Shard, worker: int, step: int) -> Verdict:
        return "add" if step == shard.clock[worker] == shard.version else "refuse"

    def may_go_on(self, shard: Shard, worker: int) -> bool:
        return shard.clock[worker] <= shard.version

    def closes(self, shard: Shard) -> bool:
        return len(shard.taken) == len(shard.workers)

    def may_leave(self, shard: Shard) -> bool:
        return not shard.taken


class Backup(Consistency):
    """Backup workers (Chen et al. 2016): a step closes with the first n - b gradients; the b slowest come too late.

    A late gradient is dropped, and its worker answered at once, with the version: it goes on there and skips the
    steps between. The mean is over the n - b, added up in the order of their arrival.
    """

    def __init__(self, backups: int) -> None:
        self.backups = backups
        self.name = f"backup({backups})"

    def verdict(self, shard: Shard, worker: int, step: int) -> Verdict:
        if step > shard.version:
            return "wait"
        if step < shard.version:
            return "drop"
        return "duplicate" if worker in shard.taken else "add"

    def may_go_on(self, shard: Shard, worker: int) -> bool:
        return shard.clock[worker] <= shard.version

    def closes(self, shard: Shard) -> bool:
        return len(shard.taken) == shard.n - self.backups

    def stamp(self, shard: Shard, step: int) -> int:
        return shard.version


class ASP(Consistency):
    """Asynchronous (Dean et al. 2012): every push is applied and answered as it comes; nobody waits for anybody.

    `damped` by staleness, the learning rate of an update is divided by 1 + its staleness (Zhang et al. 2016).
    """

    name = "asp"
    at_once = True

    def __init__(self, damping: Literal["none", "inverse"] = "none") -> None:
        self._damping = damping

    def verdict(self, shard: Shard, worker: int, step: int) -> Verdict:
        if step < shard.clock[worker]:
            return "duplicate"
        return "apply" if step == shard.clock[worker] or worker in shard.behind else "refuse"

    def may_go_on(self, shard: Shard, worker: int) -> bool:
        return True

    def progress(self, shard: Shard) -> int:
        return shard.highest + 1

    def damping(self, staleness: int) -> float:
        return 1.0 / (1 + staleness) if self._damping == "inverse" else 1.0


class SSP(ASP):
    """Stale synchronous parallel (Ho et al. 2013): as ASP, but nobody is more than `staleness` steps ahead.

    A worker may compute step k once every other has pushed step k - staleness - 1. With a staleness of 0 that is BSP,
    which adds up a step's gradients and updates once: then use that.
    """

    def __init__(self, staleness: int) -> None:
        super().__init__()
        self.staleness = staleness
        self.name = f"ssp({staleness})"

    def may_go_on(self, shard: Shard, worker: int) -> bool:
        return shard.clock[worker] - shard.slowest <= self.staleness
