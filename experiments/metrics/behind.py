"""Staleness in updates: how many were applied between a worker's last answer and its next push.

Counted in steps, a gradient is of the newest step wherever all workers keep pace, however many updates of others it
has not seen. Dean et al. (2012) and Zhang et al. (2016) count updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
