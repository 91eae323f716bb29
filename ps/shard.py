"""A server's state: its shard of the parameters, and which worker is at which clock. No I/O, no time, no threads.

The server's loop (server.py) asks `may_push` whom to listen to, hands over what came, and answers whom `push` names.

    state     version   steps applied to the parameters
              clock[w]  pushes taken from worker w: the step that w computes next
              total     sum of the gradients taken for the step that is open
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from common.context import Array
from common.strategy import Vector
from ps.consistency import BSP


class Refused(Exception):
    """This event is not allowed in this state; nothing was changed."""


class Shard:
    """One shard. `params`, float32 of shape (size,), is changed in place, and only by `update(mean gradient)`."""

    def __init__(
        self, params: Vector, workers: Iterable[int], update: Callable[[Vector], None], consistency: BSP
    ) -> None:
        self.params = params
        self.workers = list(workers)  # still taking part, in rank order
        self.clock = dict.fromkeys(self.workers, 0)
        self.version = 0
        self.total = np.zeros_like(params)
        self._update = update
        self._consistency = consistency

    def may_push(self) -> tuple[int, ...]:
        """The workers whose next push may be taken now; empty when all have left."""
        return self._consistency.may_push(self)

    def push(self, worker: int, step: int, gradient: Vector) -> Sequence[int]:
        """Take the gradient, shape (size,), that `worker` computed in `step`.

        Returns the workers who may now have the parameters: all of them when this push closes the step, else none.
        Raises Refused if it is not that worker's turn, or its gradient is for another step than its next, or has
        another shape than the shard.
        """
        self._refuse_unless_due(worker)
        if step != self.clock[worker]:
            raise Refused(f"worker {worker} pushed step {step}, its next is step {self.clock[worker]}")
        if gradient.shape != self.params.shape:
            raise Refused(f"worker {worker} pushed {gradient.size} elements, this shard has {self.params.size}")
        self.clock[worker] += 1
        self.total += gradient
        if not self._consistency.closes(self):
            return ()
        self.total /= np.float32(len(self.workers))
        self._update(self.total)
        self.total[:] = 0
        self.version += 1
        return tuple(self.workers)

    def state(self) -> dict[str, Array]:
        """All that decides what comes next: arrays by name, `params` and `total` as views."""
        clock = np.array([[worker, clock] for worker, clock in self.clock.items()], np.int64).reshape(-1, 2)
        return {"params": self.params, "total": self.total, "clock": clock, "version": np.array(self.version)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Be as the shard was that gave this `state`, of which copies are taken."""
        self.params[:] = state["params"]
        self.total[:] = state["total"]
        self.clock = {int(worker): int(clock) for worker, clock in state["clock"]}
        self.version = int(state["version"])

    def leave(self, worker: int) -> None:
        """`worker` has finished and will push no more. Raises Refused if it is not its turn, or others wait for it."""
        self._refuse_unless_due(worker)
        if waiting := [other for other in self.workers if self.clock[other] > self.version]:
            names = ", ".join(map(str, waiting))
            raise Refused(f"worker {worker} left in step {self.version}, which worker {names} has pushed")
        self.workers.remove(worker)

    def _refuse_unless_due(self, worker: int) -> None:
        if worker not in self.may_push():
            due = ", ".join(map(str, self.may_push())) or "nobody"
            raise Refused(f"worker {worker} sent something when it was the turn of {due}")
