"""A server's stage 6, `update`, timed and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.pipeline.update import FlatOptimizer
from common.records.recorder import StepRecord
from common.records.stage_clock import StageClock
from common.transport.wrappers.metered import MeteredEndpoint
from common.types import Array, Rows, Vector


class TimedUpdates:
    """The updates of one server. `observe` gets one record for as many updates as there are optimizers (of segments).

    That is a record a step, or a record a push if each push is an update, with the step of its last gradient.
    """

    def __init__(self, meter: MeteredEndpoint, clock: StageClock, observe: Callable[[StepRecord], None]) -> None:
        self._meter, self._clock, self._observe = meter, clock, observe
        self._began = 0.0  # of the present record
        self._optimizers: list[FlatOptimizer] = []
        self.done = 0

    def expect(self, optimizer: FlatOptimizer) -> ServerOptimizer:
        """Return `optimizer`, timed. The first step begins when the last optimizer has been added."""
        self._optimizers.append(optimizer)
        self._began = self._meter.now()
        return ServerOptimizer(optimizer, self)

    def held(self) -> dict[str, int]:
        """Return how many parameters this server holds, and the bytes of its optimizers' state."""
        return {
            "parameters": sum(optimizer.size for optimizer in self._optimizers),
            "optimizer_state_bytes": sum(optimizer.state_bytes for optimizer in self._optimizers),
        }

    def update(self, step: Callable[[], None]) -> None:
        """Make one update by calling `step`."""
        if not self.done:
            self._meter.reset()  # what was sent before the first update belongs to the set-up
        with self._clock("update"):
            step()
        self._meter.place.enter("synchronize")
        self.done += 1
        if self.done % len(self._optimizers):
            return
        place, ended = self._meter.place, self._meter.now()
        seconds = self._clock.take()
        seconds["synchronize"] = ended - self._began - seconds["update"]  # waiting, receiving, adding up, replying
        self._observe(StepRecord(place.step, place.role, place.rank, self._began, ended, seconds))
        self._began = ended


class ServerOptimizer:
    """Stage 6 on a server's piece of one bucket: see `common.context.Optimizer`."""

    def __init__(self, optimizer: FlatOptimizer, updates: TimedUpdates) -> None:
        self.optimizer, self.updates = optimizer, updates

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        self.updates.update(lambda: self.optimizer.step(grad, at, damping))

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        self.updates.update(lambda: self.optimizer.step_rows(rows, at, damping))

    def state(self) -> dict[str, Array]:
        return self.optimizer.state()

    def restore(self, state: Mapping[str, Array]) -> None:
        self.optimizer.restore(state)
