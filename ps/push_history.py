"""The push history of a server: written as pushes are answered, so that tests can hold it against the model.

A server notes the pushes of its last segment, which stands for the others: each segment is a shard of its own, but all
see the same workers push the same steps. One event for each push:

    worker, step   the worker whose gradient came, and the step in which it was computed
    applied        the highest step that any worker had pushed by then
    staleness      the difference of the two
    version        updates applied before it
    waited         seconds between the push and its answer; null if pushes wait unread in their queues (BSP)
    outcome        applied, dropped (too late) or duplicate (taken before)

and one event for a worker that is done, "finished", or has died while the others go on, "departed". If servers come
back:

    resumed        the server continues from a saved state, after so many updates (`version`)
    lost           so many `pushes` of a worker, from `step` on, are not in that state and will not come again
    answered       `waited` seconds more for a push that was written before its answer, for a checkpoint
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ps.shard import Pushed

Event = Mapping[str, Any]


class PushHistory:
    """Keeps events in the order of the pushes until they are complete. `record` writes one, `now` gives seconds."""

    def __init__(self, record: Callable[[Event], None], now: Callable[[], float]) -> None:
        self._record, self._now = record, now
        self._events: deque[dict[str, Any]] = deque()
        self._unanswered: dict[int, tuple[dict[str, Any], float]] = {}  # by worker, with the time of the push

    def push(self, worker: int, step: int, pushed: Pushed) -> None:
        """Note a push and what became of it."""
        event = {"event": "push", "worker": worker, "step": step, "applied": pushed.highest}
        event |= {"staleness": pushed.staleness, "version": pushed.version, "waited": 0.0, "outcome": pushed.outcome}
        self._events.append(event)
        if worker not in pushed.answer:
            self._unanswered[worker] = event, self._now()
        self._write()

    def answered(self, workers: Iterable[int]) -> None:
        """Note that these workers have their answers."""
        for worker in self._unanswered.keys() & set(workers):
            event, since = self._unanswered.pop(worker)
            event["waited"] = round(self._now() - since, 7)
        self._write()

    def flush(self) -> None:
        """Write all events, so that the file goes with a checkpoint; workers without an answer have waited till now."""
        for worker, (event, since) in self._unanswered.items():
            event["waited"] = round(self._now() - since, 7)
            self._unanswered[worker] = {"event": "answered", "worker": worker, "waited": 0.0}, self._now()
        while self._events:
            self._record(self._events.popleft())
        self._events.extend(event for event, _ in self._unanswered.values())

    def finished(self, worker: int, step: int) -> None:
        """Note that a worker is done, when `step` steps are; after a restart from before that it is noted again."""
        self._events.append({"event": "finished", "worker": worker, "step": step})
        self._write()

    def departed(self, worker: int) -> None:
        """Note that a worker has died; it waits for no answer any more."""
        self._unanswered.pop(worker, None)
        self._events.append({"event": "departed", "worker": worker})
        self._write()

    def close(self) -> None:
        """Write the rest; workers without an answer have waited till now."""
        self.answered(self._unanswered)

    def _write(self) -> None:
        """Write the complete events, up to the first that is not."""
        unanswered = [event for event, _ in self._unanswered.values()]
        while self._events and not any(event is self._events[0] for event in unanswered):
            self._record(self._events.popleft())
