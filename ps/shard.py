"""A server's state: a shard of the parameters, and which worker is at which clock. No I/O, no time, no threads.

The servers' loops (lockstep.py, arrivals.py) ask whom to listen to, hand over what came, and answer whom `push` names.

    state     version   updates applied to the parameters; where steps are summed up, the step that is open
              clock[w]  the step that worker w pushes next
              highest   the highest step that anybody has pushed
              taken     whose gradients are in the sum of the open step
              waiting   who has pushed and has no answer yet
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from common.types import Array, Rows, Vector
from ps.consistency import Consistency

Gradient = Vector | Rows  # rows where the parameters are those of a table: see row_shard.py
Update = Callable[[Any, int, float], None]  # of the parameters: gradient, its step, damping; see Optimizer.step
Outcome = Literal["applied", "dropped", "duplicate"]


class Refused(Exception):
    """This event is not allowed in this state; nothing was changed."""


class Pushed(NamedTuple):
    """What became of a push."""

    outcome: Outcome
    highest: int  # the highest step that was pushed, this one included
    staleness: int  # steps that its own is behind that
    version: int  # updates applied before it
    answer: tuple[int, ...]  # who may now have the parameters, in the order of their pushes


class Shard:
    """One shard. `params`, float32 of shape (size,), is changed in place, and only by `update`."""

    def __init__(
        self, params: Vector, workers: Iterable[int], update: Update, consistency: Consistency, incarnation: int = 0
    ) -> None:
        self.params = params
        self.workers = list(workers)  # still taking part, in rank order
        self.n = len(self.workers)  # at the start
        self.clock = dict.fromkeys(self.workers, 0)
        self.version = 0
        self.highest = -1
        self.taken: list[int] = []
        self.waiting: list[int] = []
        self.behind: set[int] = set()  # of whom pushes were lost with the last server, perhaps: their clocks may jump
        self.lost = 0  # pushes, by those jumps
        self.incarnation = incarnation
        self.consistency = consistency
        self._update = update
        self._total: Vector | None = None

    @property
    def slowest(self) -> int:
        """The lowest clock of those that take part."""
        return min(self.clock[worker] for worker in self.workers)

    def due(self) -> tuple[int, ...]:
        """The workers whose next push may be taken now; empty when all have left."""
        return self.consistency.due(self)

    def must_wait(self, worker: int, step: int) -> bool:
        """Whether this push is for a step that has not come yet: keep it until the version has changed."""
        return self.consistency.verdict(self, worker, step) == "wait"

    def push(self, worker: int, step: int, gradient: Gradient, incarnation: int | None = None) -> Pushed:
        """Take the gradient, shape (size,), that `worker` computed in `step`; it may be changed in place.

        Raises Refused if it is not that worker's turn, or its gradient is for another step than is allowed, or has
        another shape than the shard, or was sent in another incarnation of the job than this one.
        """
        self._refuse_unless_fitting(worker, gradient, incarnation)
        verdict = self.consistency.verdict(self, worker, step)
        if verdict in ("wait", "refuse"):
            raise Refused(f"worker {worker} pushed step {step}, its next is step {self.clock[worker]}")
        if worker in self.waiting and verdict in ("add", "apply"):
            raise Refused(f"worker {worker} pushed step {step} before it had the answer to its last push")
        before = self.version
        self._note(worker, step, lost=verdict == "apply")
        staleness = self.highest - step
        outcome: Outcome = "applied"
        if verdict == "add":
            self._add(worker, gradient)
        elif verdict == "apply":
            self._divide(gradient, self.n)
            self._update(gradient, step, self.consistency.damping(staleness))
            self.version += 1
        else:
            outcome = "dropped" if verdict == "drop" else "duplicate"
        if worker not in self.waiting:
            self.waiting.append(worker)
        return Pushed(outcome, self.highest, staleness, before, self._released())

    def push_all(self, step: int, total: Gradient) -> tuple[int, ...]:
        """Take the gradients that all workers computed in `step`, added up in rank order; `total` becomes their mean.

        The same as a `push` of each in turn under BSP, in one go. Returns who may now have the parameters: everybody.
        Raises Refused if `step` is not the one that is open, or was begun by single pushes, or the shape is wrong.
        """
        if step != self.version:
            raise Refused(f"all workers pushed step {step}, their next is step {self.version}")
        if self.taken:
            raise Refused(f"all workers pushed step {step}, which worker {self.taken[0]} has begun alone")
        self._refuse_another_shape(f"workers {self.workers}", total)
        self.clock = dict.fromkeys(self.workers, step + 1)
        self.highest = step
        self._close(total, len(self.workers))
        return tuple(self.workers)

    def leave(self, worker: int) -> tuple[int, ...]:
        """`worker` will push no more: nobody waits for its clock any longer. Returns who may now have the parameters.

        Raises Refused if it is not its turn, or if the step that others have pushed cannot close without it.
        """
        self._refuse_unless_due(worker)
        if not self.consistency.may_leave(self):
            names = ", ".join(map(str, self.taken))
            raise Refused(f"worker {worker} left in step {self.version}, which worker {names} has pushed")
        self.workers.remove(worker)
        if worker in self.waiting:
            self.waiting.remove(worker)
        return self._released()

    def begin(self, incarnation: int) -> None:
        """A new incarnation of the job: what was sent before is refused from now on, and nobody waits any more."""
        self.incarnation = incarnation
        self.waiting.clear()

    def catch_up(self, worker: int, step: int) -> int:
        """`worker` goes on at `step`: returns how many of its pushes before that are lost, and will not come again.

        None are where a step waits for all gradients: there all workers go back to the shard's own step.
        """
        if not self.consistency.at_once or worker not in self.workers or step <= self.clock[worker]:
            return 0
        lost = step - self.clock[worker]
        self._note(worker, step - 1, lost=False)
        self.behind.discard(worker)
        self.lost += lost
        return lost

    def state(self) -> dict[str, Array]:
        """All that `restore` needs, as arrays of their own. Who waits is not in it: after a crash nobody does."""
        total = self._total if self._total is not None and self.taken else np.empty(0, np.float32)
        counts = [self.version, self.highest, self.n, self.lost]
        return {
            "params": self.params.copy(),
            "total": total.copy(),
            "workers": np.array(self.workers, np.int64),
            "clock": np.array([self.clock[worker] for worker in self.workers], np.int64),
            "taken": np.array(self.taken, np.int64),
            "counts": np.array(counts, np.int64),
        }

    def restore(self, state: Mapping[str, Array], incarnation: int) -> None:
        """Go back to what `state` said, in a new incarnation. The parameters are written in place.

        Pushes that are in are duplicates then; a worker that is further on than this shard may jump once, and what
        was lost is counted. Raises Refused if the state is that of a shard of another size.
        """
        self._refuse_another_shape("a checkpoint", state["params"])
        self.params[:] = state["params"]
        self.workers = state["workers"].tolist()
        self.clock = dict(zip(self.workers, state["clock"].tolist(), strict=True))
        self.taken = state["taken"].tolist()
        self.version, self.highest, self.n, self.lost = state["counts"].tolist()
        if self.taken:
            self._total = state["total"].copy()
        self.behind = set(self.workers)
        self.begin(incarnation)

    def _note(self, worker: int, step: int, *, lost: bool) -> None:
        """Move the worker's clock behind `step`; what it jumps over was `lost`, if pushes cannot be skipped."""
        if lost:
            self.lost += step - self.clock[worker]
            self.behind.discard(worker)
        self.clock[worker] = max(self.clock[worker], step + 1)
        self.highest = max(self.highest, step)

    def _add(self, worker: int, gradient: Any) -> None:
        """Add to the sum of the open step, and close it if it is complete."""
        if self._total is None:
            self._total = np.empty_like(self.params)
        if self.taken:
            self._total += gradient
        else:
            self._total[:] = gradient
        self.taken.append(worker)
        if self.consistency.closes(self):
            self._close(self._total, len(self.taken))

    def _divide(self, total: Any, count: int) -> None:
        total /= np.float32(count)

    def _close(self, total: Gradient, count: int) -> None:
        """One update with the mean of the `count` gradients that make `total`."""
        self._divide(total, count)
        self._update(total, self.version, 1.0)
        self.version += 1
        self.taken.clear()

    def _released(self) -> tuple[int, ...]:
        ready = tuple(worker for worker in self.waiting if self.consistency.may_go_on(self, worker))
        for worker in ready:
            self.waiting.remove(worker)
        return ready

    def _refuse_unless_fitting(self, worker: int, gradient: Gradient, incarnation: int | None) -> None:
        if incarnation is not None and incarnation != self.incarnation:
            raise Refused(
                f"worker {worker} pushed in incarnation {incarnation}, this is incarnation {self.incarnation}"
            )
        self._refuse_unless_due(worker)
        self._refuse_another_shape(f"worker {worker}", gradient)

    def _refuse_another_shape(self, who: str, values: Any) -> None:
        if values.shape != self.params.shape:
            raise Refused(f"{who} pushed {values.size} elements, this shard has {self.params.size}")

    def _refuse_unless_due(self, worker: int) -> None:
        if worker not in self.due():
            due = ", ".join(map(str, self.due())) or "nobody"
            raise Refused(f"worker {worker} sent something when it was the turn of {due}")
