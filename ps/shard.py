"""One server's shard: a part of the parameters and the clocks of the workers. No I/O, no time, no threads.

Theory of operation

1. A worker pushes the gradient of one step after the other; `clock[w]` is the step that it pushes next.
2. The server's loop hands every push to `push`. The consistency decides what becomes of it: see `Decision`.
3. BSP and Backup add it to the sum of the open step. When enough pushes are in, the step closes: one update with the
   mean. ASP and SSP apply it at once, divided by n.
4. Every update, under every consistency, adds 1 to `version`.
5. A worker that has pushed is `waiting` until the consistency lets it go on. `Pushed.answer` names the workers that may
   have the parameters now; the loop answers these and no others.
6. Only the methods below change the state, and only `update` writes to the parameters. An event that is not allowed
   raises Refused and changes nothing.
7. No push is applied twice: a repeated push has a step below its worker's clock, or its worker is in the open sum
   already. No push is lost unnoticed: a step above the clock is refused.
8. After a server's death `restore` restores everything except `waiting`. Each worker then sends its unanswered pushes
   again. A push that the restored state contains is a duplicate. A push that it lacks cannot be recovered: the clock of
   the worker jumps over it, and `lost` counts it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from common.types import Array, Rows, Vector
from ps.clocks import Clocks
from ps.consistency import Consistency

Gradient = Vector | Rows  # rows where the parameters are those of a table: see row_shard.py
Update = Callable[[Any, int, float], None]  # updates the parameters: gradient, its step, damping; see Optimizer.step
Outcome = Literal["applied", "dropped", "duplicate"]


class Refused(Exception):
    """This event is not allowed in this state; nothing was changed."""


class Pushed(NamedTuple):
    """What became of a push."""

    outcome: Outcome
    highest: int  # the highest step pushed so far, this one included
    staleness: int  # how many steps this push is behind that
    version: int  # updates applied before it
    answer: tuple[int, ...]  # the workers to answer: they may have the parameters now, in the order of their pushes


class Shard(Clocks):
    """One shard. `params`, float32 of shape (size,), is changed in place, by `update` and `restore` only."""

    def __init__(self, params: Vector, workers: Iterable[int], update: Update, consistency: Consistency) -> None:
        super().__init__(workers)
        self.params = params
        self.consistency = consistency
        self._update = update
        self._total: Vector | None = None  # the sum of the open step, from the first push on

    def due(self) -> tuple[int, ...]:
        """Return the workers whose next push may be taken now; none when all have left."""
        return self.consistency.due(self)

    def must_wait(self, worker: int, step: int) -> bool:
        """Return whether this push is for a step that has not come yet: keep it until the version has changed."""
        return self.consistency.decide(self, worker, step) == "wait"

    def push(self, worker: int, step: int, gradient: Gradient) -> Pushed:
        """Take the gradient, shape (size,), that `worker` computed in `step`; it may be changed in place.

        Raises Refused if it is not that worker's turn, or the step or the shape is wrong.
        """
        self._refuse_unless_due(worker)
        self._check_shape(f"worker {worker} pushed", gradient)
        decision = self.consistency.decide(self, worker, step)
        if decision in ("wait", "refuse"):
            raise Refused(f"worker {worker} pushed step {step}, its next is step {self.clock[worker]}")
        if worker in self.waiting and decision in ("add", "apply"):
            raise Refused(f"worker {worker} pushed step {step} before it had the answer to its last push")
        before = self.version
        if decision == "apply":
            self.lost += step - self.clock[worker]  # 0, unless the clock jumps after a restore
            self.may_jump.discard(worker)
        self.advance(worker, step)
        staleness = self.highest - step
        outcome: Outcome = "applied"
        if decision == "add":
            self._add(worker, gradient)
        elif decision == "apply":
            self._divide(gradient, self.n)
            self._update(gradient, step, self.consistency.damping(staleness))
            self.version += 1
        else:
            outcome = "dropped" if decision == "drop" else "duplicate"
        if worker not in self.waiting:
            self.waiting.append(worker)
        return Pushed(outcome, self.highest, staleness, before, self._released())

    def push_all(self, step: int, total: Gradient) -> tuple[int, ...]:
        """Take the gradients of all workers in `step`, added up in rank order; `total` becomes their mean.

        The same as a `push` of each in turn under BSP. Returns the workers that may have the parameters now: all.
        Raises Refused if `step` is not the open one, or single pushes have begun it, or the shape is wrong.
        """
        if step != self.version:
            raise Refused(f"all workers pushed step {step}, their next is step {self.version}")
        if self.taken:
            raise Refused(f"all workers pushed step {step}, which worker {self.taken[0]} has begun alone")
        self._check_shape(f"workers {self.workers} pushed", total)
        self.clock = dict.fromkeys(self.workers, step + 1)
        self.highest = step
        self._close(total, len(self.workers))
        return tuple(self.workers)

    def leave(self, worker: int) -> tuple[int, ...]:
        """Note that `worker` will push no more: no worker waits for its clock any longer.

        Returns the workers that may have the parameters now. Raises Refused if it is not that worker's turn, or if
        the open step cannot close without it.
        """
        self._refuse_unless_due(worker)
        if not self.consistency.may_leave(self):
            names = ", ".join(map(str, self.taken))
            raise Refused(f"worker {worker} left in step {self.version}, which worker {names} has pushed")
        self.workers.remove(worker)
        if worker in self.waiting:
            self.waiting.remove(worker)
        return self._released()

    def catch_up(self, worker: int, step: int) -> int:
        """Note that `worker` continues at `step`; return how many of its earlier pushes are lost for good.

        0 if nothing is lost: the worker has left, or its clock is at `step` or later, or gradients are summed step by
        step (BSP, Backup). In that last case all workers go back to the shard's own step.
        """
        if not self.consistency.at_once or worker not in self.workers or step <= self.clock[worker]:
            return 0
        lost = step - self.clock[worker]
        self.advance(worker, step - 1)
        self.may_jump.discard(worker)
        self.lost += lost
        return lost

    def state(self) -> dict[str, Array]:
        """Return copies of all that `restore` needs. `waiting` is left out: after a death no worker waits."""
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

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go back to `state`; the parameters are written in place. Refused if it belongs to a shard of another size.

        From then on each worker's clock may jump once, over pushes that the state lacks.
        """
        self._check_shape("the checkpoint has", state["params"])
        self.params[:] = state["params"]
        self.workers = state["workers"].tolist()
        self.clock = dict(zip(self.workers, state["clock"].tolist(), strict=True))
        self.taken = state["taken"].tolist()
        self.version, self.highest, self.n, self.lost = state["counts"].tolist()
        if self.taken:
            self._total = state["total"].copy()
        self.may_jump = set(self.workers)
        self.waiting.clear()

    def _add(self, worker: int, gradient: Any) -> None:
        """Add to the sum of the open step, and close the step if the sum is complete."""
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
        """Update once with the mean of the `count` gradients that make `total`."""
        self._divide(total, count)
        self._update(total, self.version, 1.0)
        self.version += 1
        self.taken.clear()

    def _released(self) -> tuple[int, ...]:
        ready = tuple(worker for worker in self.waiting if self.consistency.may_go_on(self, worker))
        for worker in ready:
            self.waiting.remove(worker)
        return ready

    def _check_shape(self, origin: str, values: Any) -> None:
        if values.shape != self.params.shape:
            raise Refused(f"{origin} {values.size} elements, this shard has {self.params.size}")

    def _refuse_unless_due(self, worker: int) -> None:
        if worker not in self.due():
            due = ", ".join(map(str, self.due())) or "nobody"
            raise Refused(f"worker {worker} sent something when it was the turn of {due}")
