"""The history of a server's pushes: written as they are answered, and held against the model afterwards.

A server notes the pushes of its last segment, which stands for the others: each is a shard of its own, but all see the
same workers push the same steps. One event each:

    worker, step   whose gradient, and the step in which it was computed
    applied        the highest step that anybody had pushed by then
    staleness      the difference of the two
    version        updates applied before it
    waited         seconds between the push and its answer; null where pushes wait unread in their queues (BSP)
    outcome        applied, dropped (too late) or duplicate (known already)

and one, "finished", when a worker is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ps.consistency import Consistency
from ps.shard import Pushed, Refused, Shard

Event = Mapping[str, Any]


class History:
    """Keeps events in the order of the pushes, until they are complete. `record` writes one, `now` gives seconds."""

    def __init__(self, record: Callable[[Event], None], now: Callable[[], float]) -> None:
        self._record, self._now = record, now
        self._events: deque[dict[str, Any]] = deque()
        self._unanswered: dict[int, tuple[dict[str, Any], float]] = {}  # by worker, with the time of the push

    def push(self, worker: int, step: int, pushed: Pushed) -> None:
        """Note a push and what became of it."""
        event = {
            "event": "push",
            "worker": worker,
            "step": step,
            "applied": pushed.highest,
            "staleness": pushed.staleness,
            "version": pushed.version,
            "waited": 0.0,
            "outcome": pushed.outcome,
        }
        self._events.append(event)
        if worker not in pushed.answer:
            self._unanswered[worker] = event, self._now()
        self._write()

    def answered(self, workers: Iterable[int]) -> None:
        """These workers have their answers, those who had to wait among them."""
        if self._unanswered:
            for worker in workers:
                if (open_event := self._unanswered.pop(worker, None)) is not None:
                    event, since = open_event
                    event["waited"] = round(self._now() - since, 7)
            self._write()

    def finished(self, worker: int) -> None:
        """Note that a worker is done."""
        self._events.append({"event": "finished", "worker": worker})
        self._write()

    def _write(self) -> None:
        """Write what is complete, up to the first that is not."""
        unanswered = [event for event, _ in self._unanswered.values()]
        while self._events and not any(event is self._events[0] for event in unanswered):
            self._record(self._events.popleft())


def replay(events: Iterable[Event], workers: int, consistency: Consistency) -> Shard:
    """Let the model of a server go through what happened to one; returns it as it is then.

    Raises Refused at the first event that the model would not have allowed, or not with this outcome.
    """
    shard = Shard(np.empty(0, np.float32), range(workers), lambda gradient, step, damping: None, consistency)
    for number, event in enumerate(events):
        try:
            _repeat(shard, event)
        except Refused as refusal:
            raise Refused(f"event {number} of the history does not fit: {refusal}") from None
    return shard


def _repeat(shard: Shard, event: Event) -> None:
    worker = event["worker"]
    if event["event"] == "finished":
        shard.leave(worker)
    elif event["event"] == "push":
        pushed = shard.push(worker, event["step"], np.empty(0, np.float32))
        want = (event["outcome"], event["applied"], event["staleness"], event["version"])
        if pushed[: len(want)] != want:
            raise Refused(f"worker {worker}'s push of step {event['step']} was {want}, the model says {pushed[:4]}")
