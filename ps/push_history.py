"""The history of a server's pushes: written as they are answered, and held against the model afterwards.

A server notes the pushes of its last segment, which stands for the others: each is a shard of its own, but all see the
same workers push the same steps. One event each:

    worker, step   whose gradient, and the step in which it was computed
    applied        the highest step that anybody had pushed by then
    staleness      the difference of the two
    version        updates applied before it
    waited         seconds between the push and its answer; null where pushes wait unread in their queues (BSP)
    outcome        applied, dropped (too late) or duplicate (known already)

and one when a worker is done, "finished", or has died and the others go on, "departed". Where servers come back:

    resumed        the server goes on from a state that it had saved, after so many updates (`version`)
    lost           so many `pushes` of a worker, from `step` on, are not in that state and will not come again
    answered       `waited` seconds more for a push that had been written before its answer, for a checkpoint
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

    def flush(self) -> None:
        """Write all there is, so that the file goes with a checkpoint: who waits has waited until now."""
        for worker, (event, since) in self._unanswered.items():
            event["waited"] = round(self._now() - since, 7)
            self._unanswered[worker] = {"event": "answered", "worker": worker, "waited": 0.0}, self._now()
        while self._events:
            self._record(self._events.popleft())
        self._events.extend(event for event, _ in self._unanswered.values())

    def finished(self, worker: int, step: int) -> None:
        """Note that a worker is done, when so many steps are: who goes back behind that has it to say again."""
        self._events.append({"event": "finished", "worker": worker, "step": step})
        self._write()

    def close(self) -> None:
        """Write what is left: who still waits has waited until now."""
        self.answered(list(self._unanswered))

    def departed(self, worker: int) -> None:
        """Note that a worker has died: it waits for no answer any more."""
        self._unanswered.pop(worker, None)
        self._events.append({"event": "departed", "worker": worker})
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
    again: set[int] = set()  # who was done before the server came back, and says so once more
    for number, event in enumerate(events):
        try:
            if event["event"] == "resumed":
                again = set(range(workers)) - set(shard.workers)
            if event["event"] == "finished" and event["worker"] in again:
                again.remove(event["worker"])
            else:
                _repeat(shard, event)
        except Refused as refusal:
            raise Refused(f"event {number} of the history does not fit: {refusal}") from None
    return shard


def _repeat(shard: Shard, event: Event) -> None:
    match event["event"]:
        case "departed":
            shard.leave(event["worker"])
        case "finished":
            _finish(shard, event["worker"], event["step"])
        case "resumed":
            if event["version"] != shard.version:
                raise Refused(f"the server went on after {event['version']} updates, the model has {shard.version}")
            shard.restore(shard.state(), shard.incarnation + 1)
        case "lost":
            _lose(shard, event["worker"], event["step"], event["pushes"])
        case "push":
            _push_again(shard, event)


def _finish(shard: Shard, worker: int, step: int) -> None:
    done = shard.clock.get(worker, step)
    if shard.consistency.at_once and step != done:
        raise Refused(f"worker {worker} was done after step {step}, its next is step {done}")
    shard.leave(worker)


def _lose(shard: Shard, worker: int, step: int, pushes: int) -> None:
    if worker not in shard.behind or step != shard.clock[worker]:
        raise Refused(f"worker {worker} lost its pushes from step {step} on, its next is step {shard.clock[worker]}")
    shard.catch_up(worker, step + pushes)


def _push_again(shard: Shard, event: Event) -> None:
    worker, step, lost = event["worker"], event["step"], shard.lost
    pushed = shard.push(worker, step, np.empty(0, np.float32))
    want = (event["outcome"], event["applied"], event["staleness"], event["version"])
    if pushed[: len(want)] != want:
        raise Refused(f"worker {worker}'s push of step {step} was {want}, the model says {pushed[:4]}")
    if shard.lost != lost:
        raise Refused(f"worker {worker} pushed step {step}; nothing is said of the {shard.lost - lost} before it")
