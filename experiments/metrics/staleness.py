"""What the servers' histories add up to: how stale updates were, which pushes did not count, who waited how long.

Every server notes one event for each push that it got (ps/history.py). Files are read in one pass, line by line.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.records.recorder import whole_lines
from experiments.schema.documents import PushCounts

KEYS = (
    "staleness_max",
    "staleness_histogram",
    "staleness_updates_max",
    "staleness_updates_histogram",
    "pushes",
    "waited_seconds",
)


@dataclass(slots=True)
class PushTotals:
    """Over all servers; with several of them each push is counted at each."""

    servers: int = 0  # that have a history
    staleness: Counter[int] = field(default_factory=Counter)  # applied pushes by their staleness, in steps
    behind: Counter[int] = field(default_factory=Counter)  # the same in updates
    outcomes: Counter[str] = field(default_factory=Counter)  # applied, dropped, duplicate …
    lost: int = 0  # that died with a server
    waited: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # by worker: seconds, all servers'
    timed: bool = False  # whether any history says how long a push waited
    dropped: Counter[tuple[int, int]] = field(default_factory=Counter)  # (worker, step): at how many servers

    def share_dropped(self, worker: int, step: int) -> float:
        """Of that push, the share of servers that did not apply it."""
        return self.dropped[worker, step] / self.servers if self.servers and self.dropped else 0.0

    def summary(self, workers: int) -> dict[str, Any]:
        """The fields of a run's summary; all None without a history.

        `waited_seconds` is, for each worker, how long servers held back its answers: mean over the servers.
        """
        if not self.servers:
            return dict.fromkeys(KEYS)
        return {
            "staleness_max": max(self.staleness, default=0),
            "staleness_histogram": {steps: self.staleness[steps] for steps in sorted(self.staleness)},
            "staleness_updates_max": max(self.behind, default=0),
            "staleness_updates_histogram": {updates: self.behind[updates] for updates in sorted(self.behind)},
            "pushes": PushCounts(applied=self.outcomes["applied"], dropped=self.outcomes["dropped"], lost=self.lost),
            "waited_seconds": tuple(self.waited[w] / self.servers for w in range(workers)) if self.timed else None,
        }


def read_pushes(files: Sequence[Path], workers: int, consistency: str) -> PushTotals:
    """Add up these histories; one that is missing is no server's, a line that was cut short ends its file.

    `consistency` is that of the servers: it says what a worker had seen of the others when it pushed (behind.py).
    """
    pushes = PushTotals()
    for file in files:
        if file.exists():
            pushes.servers += 1
            behind = UpdateStaleness(workers, consistency)
            for line in whole_lines(file):
                event = json.loads(line)
                updates = behind.take(event)
                _add(pushes, event)
                if updates is not None and event["outcome"] == "applied":
                    pushes.behind[updates] += 1
    return pushes


def _add(pushes: PushTotals, event: Mapping[str, Any]) -> None:
    if event.get("event") == "lost":
        pushes.lost += int(event["pushes"])
    if event.get("event") == "answered":
        pushes.waited[event["worker"]] += event["waited"]
    if event.get("event") != "push":
        return
    outcome = event["outcome"]
    pushes.outcomes[outcome] += 1
    if outcome == "applied":
        pushes.staleness[event["staleness"]] += 1
    elif outcome == "dropped":
        pushes.dropped[event["worker"], event["step"]] += 1
    if event["waited"] is not None:
        pushes.timed = True
        pushes.waited[event["worker"]] += event["waited"]


class UpdateStaleness:
    """Reads the events of one server (ps/history.py), in their order."""

    def __init__(self, workers: int, consistency: str) -> None:
        self._at_once = consistency.startswith(("asp", "ssp"))  # else a gradient that counts is of the open step
        self._clock = dict.fromkeys(range(workers), 0)  # of who takes part
        self._has = dict.fromkeys(range(workers), 0)  # the version in each worker's last answer
        self._waiting: set[int] = set()
        self._version = 0

    def take(self, event: Mapping[str, Any]) -> int | None:
        """How many updates the parameters were behind by which this push was computed; None if it is no push."""
        match event["event"]:
            case "push":
                return self._push(event) if self._at_once else event["version"] - event["step"]
            case "finished" | "departed":
                slowest = self._slowest()
                self._clock.pop(event["worker"], None)
                self._waiting.discard(event["worker"])
                self._release(slowest)
            case "resumed":
                self._version = event["version"]
                self._has = dict.fromkeys(self._has, self._version)
                self._waiting.clear()
        return None

    def _push(self, event: Mapping[str, Any]) -> int:
        worker, slowest = event["worker"], self._slowest()
        behind = max(0, event["version"] - self._has.get(worker, 0))
        self._version = event["version"] + (event["outcome"] == "applied")
        self._clock[worker] = event["step"] + 1
        self._release(slowest)
        if event["waited"]:
            self._waiting.add(worker)
        else:
            self._has[worker] = self._version
        return int(behind)

    def _release(self, slowest: int) -> None:
        """Who waits for the slowest is one step further ahead than allowed, so has its answer when that one moves."""
        if self._slowest() > slowest:
            self._has.update(dict.fromkeys(self._waiting, self._version))
            self._waiting.clear()

    def _slowest(self) -> int:
        return min(self._clock.values(), default=0)
