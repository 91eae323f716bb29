"""When may a worker go on? One small class per consistency, over the clocks of a shard.

BSP and Backup add up the gradients of a step until it closes. SSP and ASP apply each gradient as it comes, divided by
the number of workers, so one learning rate serves all four.
"""

from abc import ABC, abstractmethod
from typing import Literal

from ps.clocks import Clocks

Damping = Literal["none", "inverse"]
Decision = Literal["add", "apply", "drop", "duplicate", "wait", "refuse"]


class Consistency(ABC):
    """The questions that a shard asks at every push. No answer changes the clocks."""

    name: str  # as in Traits.consistency
    at_once = False  # gradients are applied as they come, so servers never need to agree on a step
    lockstep = False  # a step has one push of every worker; parameters change only between these and the answers

    def due(self, clocks: Clocks) -> tuple[int, ...]:
        """Return the workers whose next push may be taken now."""
        return tuple(clocks.workers)

    @abstractmethod
    def decide(self, clocks: Clocks, worker: int, step: int) -> Decision:
        """Return what becomes of the gradient that `worker` computed in `step`.

        add        it is added to the sum of the open step
        apply      it is applied at once
        drop       it is too late
        duplicate  it was taken before
        wait       its step has not come yet: push it again when the version has changed
        refuse     it is not this worker's next
        """

    def may_go_on(self, clocks: Clocks, worker: int) -> bool:
        """Return whether `worker`, which has pushed, may have the parameters: once its step is in them."""
        return clocks.clock[worker] <= clocks.version

    def closes(self, clocks: Clocks) -> bool:
        """Return whether the gradients added up so far make a step."""
        return False

    def may_leave(self, clocks: Clocks) -> bool:
        """Return whether a worker may leave now: not if the open step cannot close without it."""
        return True

    def progress(self, clocks: Clocks) -> int:
        """Return how many steps are done, as checkpoints count them."""
        return clocks.version

    def stamp(self, clocks: Clocks, step: int) -> int:
        """Return the step with which the answer to a push of `step` is stamped."""
        return step

    def damping(self, staleness: int) -> float:
        """Return the factor of the learning rate for an update that comes `staleness` steps late."""
        return 1.0


class BSP(Consistency):
    """Bulk synchronous parallel (Valiant 1990): no worker starts a step before all have finished the one before.

    Pushes are taken in rank order, whatever comes first, so the sum has one order and the result one set of bits. The
    other pushes wait in their own queues and cost the server no memory.
    """

    name = "bsp"
    lockstep = True

    def due(self, clocks: Clocks) -> tuple[int, ...]:
        return tuple(worker for worker in clocks.workers if worker not in clocks.taken)[:1]

    def decide(self, clocks: Clocks, worker: int, step: int) -> Decision:
        return "add" if step == clocks.clock[worker] == clocks.version else "refuse"

    def closes(self, clocks: Clocks) -> bool:
        return len(clocks.taken) == len(clocks.workers)

    def may_leave(self, clocks: Clocks) -> bool:
        return not clocks.taken


class Backup(Consistency):
    """Backup workers (Chen et al. 2016): a step closes with the first n - b gradients; the b slowest come too late.

    A late gradient is dropped. Its worker is answered at once, with the version; it continues there and skips the
    steps between. The mean is over the n - b gradients, added up in the order of their arrival.
    """

    def __init__(self, backups: int) -> None:
        self.backups = backups
        self.name = f"backup({backups})"

    def decide(self, clocks: Clocks, worker: int, step: int) -> Decision:
        if step > clocks.version:
            return "wait"
        if step < clocks.version:
            return "drop"
        return "duplicate" if worker in clocks.taken else "add"

    def closes(self, clocks: Clocks) -> bool:
        return len(clocks.taken) == clocks.n - self.backups

    def stamp(self, clocks: Clocks, step: int) -> int:
        return clocks.version


class ASP(Consistency):
    """Asynchronous parallel (Dean et al. 2012): every push is applied and answered as it comes; no worker waits.

    With damping "inverse", the learning rate of an update is divided by 1 + its staleness (Zhang et al. 2016).
    """

    name = "asp"
    at_once = True

    def __init__(self, damping: Damping = "none") -> None:
        self._damping = damping

    def decide(self, clocks: Clocks, worker: int, step: int) -> Decision:
        if step < clocks.clock[worker]:
            return "duplicate"
        return "apply" if step == clocks.clock[worker] or worker in clocks.may_jump else "refuse"

    def may_go_on(self, clocks: Clocks, worker: int) -> bool:
        return True

    def progress(self, clocks: Clocks) -> int:
        return clocks.highest + 1

    def damping(self, staleness: int) -> float:
        return 1.0 / (1 + staleness) if self._damping == "inverse" else 1.0


class SSP(ASP):
    """Stale synchronous parallel (Ho et al. 2013): as ASP, but no worker is more than `staleness` steps ahead.

    A worker may compute step k once every other has pushed step k - staleness - 1. With a staleness of 0 use BSP, which
    adds up a step's gradients and updates once.
    """

    def __init__(self, staleness: int) -> None:
        super().__init__()
        self.staleness = staleness
        self.name = f"ssp({staleness})"

    def may_go_on(self, clocks: Clocks, worker: int) -> bool:
        return clocks.clock[worker] - clocks.slowest <= self.staleness
