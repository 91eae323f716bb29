"""Add up the histories of servers: how stale updates were, which pushes did not count, how long workers waited.

Staleness in steps is zero while all workers keep pace. Staleness in updates counts those between a worker's last answer
and its next push (Dean et al. 2012, Zhang et al. 2016). `ps.push_history` writes the events.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.schema import records
from experiments.schema.documents import PushCounts
from experiments.schema.files import read_events


@dataclass(slots=True)
class PushTotals:
    """The pushes of a run. With several servers each push is counted at each of them."""

    servers: int = 0  # that have a history
    staleness: Counter[int] = field(default_factory=Counter)  # applied pushes by their staleness in steps
    behind: Counter[int] = field(default_factory=Counter)  # the same in updates
    outcomes: Counter[str] = field(default_factory=Counter)  # pushes by outcome: applied, dropped, duplicate
    lost: int = 0  # pushes that died with a server
    waited: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # seconds by worker, over all servers
    timed: bool = False  # some history has waiting times
    dropped: Counter[tuple[int, int]] = field(default_factory=Counter)  # servers that dropped a push (worker, step)

    def share_dropped(self, worker: int, step: int) -> float:
        """Return the share of servers that dropped this push."""
        return self.dropped[worker, step] / self.servers if self.servers and self.dropped else 0.0

    def summary(self, workers: int) -> dict[str, Any]:
        """Return the fields of a run's summary; none without a history."""
        if not self.servers:
            return {}
        return {
            "staleness_max": max(self.staleness, default=0),
            "staleness_histogram": dict(sorted(self.staleness.items())),
            "staleness_updates_max": max(self.behind, default=0),
            "staleness_updates_histogram": dict(sorted(self.behind.items())),
            "pushes": PushCounts(applied=self.outcomes["applied"], dropped=self.outcomes["dropped"], lost=self.lost),
            "waited_seconds": tuple(self.waited[w] / self.servers for w in range(workers)) if self.timed else None,
        }

    def add(self, event: records.ServerEvent, behind: int | None) -> None:
        """Count one event; `behind` is the staleness of a push in updates."""
        match event:
            case records.LostEvent():
                self.lost += event.pushes
            case records.AnsweredEvent():
                self.waited[event.worker] += event.waited
            case records.PushEvent():
                self.outcomes[event.outcome] += 1
                if event.outcome == "applied":
                    self.staleness[event.staleness] += 1
                    self.behind[behind or 0] += 1
                elif event.outcome == "dropped":
                    self.dropped[event.worker, event.step] += 1
                if event.waited is not None:
                    self.timed = True
                    self.waited[event.worker] += event.waited


def read_pushes(files: Sequence[Path], workers: int, consistency: str) -> PushTotals:
    """Add up the histories of servers with this `consistency`. A missing file is none. ConfigError for damage."""
    totals = PushTotals()
    for file in filter(Path.exists, files):
        totals.servers += 1
        staleness = UpdateStaleness(workers, consistency)
        for event in read_events(file):
            totals.add(event, staleness.take(event))
    return totals


class UpdateStaleness:
    """Finds the staleness of pushes in updates, from the events of one server in their order."""

    def __init__(self, workers: int, consistency: str) -> None:
        self._at_once = consistency.startswith(("asp", "ssp"))  # else every applied gradient is of the open step
        self._clock = dict.fromkeys(range(workers), 0)  # steps pushed by each worker that takes part
        self._has = dict.fromkeys(range(workers), 0)  # the version in each worker's last answer
        self._waiting: set[int] = set()  # workers that wait for an answer
        self._version = 0

    def take(self, event: records.ServerEvent) -> int | None:
        """Return how many updates the gradient of this push has not seen; None for an event that is no push."""
        match event:
            case records.PushEvent():
                return self._push(event) if self._at_once else event.version - event.step
            case records.FinishedEvent() | records.DepartedEvent():
                slowest = self._slowest()
                self._clock.pop(event.worker, None)
                self._waiting.discard(event.worker)
                self._release(slowest)
            case records.ResumedEvent():
                self._version = event.version
                self._has = dict.fromkeys(self._has, self._version)
                self._waiting.clear()
        return None

    def _push(self, event: records.PushEvent) -> int:
        slowest = self._slowest()
        behind = max(0, event.version - self._has.get(event.worker, 0))
        self._version = event.version + (event.outcome == "applied")
        self._clock[event.worker] = event.step + 1
        self._release(slowest)
        if event.waited:
            self._waiting.add(event.worker)
        else:
            self._has[event.worker] = self._version
        return behind

    def _release(self, slowest: int) -> None:
        """Answer the waiting workers if the slowest worker has moved on: each is one step ahead of the bound."""
        if self._slowest() > slowest:
            self._has.update(dict.fromkeys(self._waiting, self._version))
            self._waiting.clear()

    def _slowest(self) -> int:
        return min(self._clock.values(), default=0)
