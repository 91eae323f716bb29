"""Record a rank's part of a trace: its messages, its stages, and the file with both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import STAGE_KINDS, Records, Row, TraceBuffer, clock_record
from common.transport.base import Endpoint
from common.transport.wrappers.traced import TracedEndpoint
from experiments.launch.rank_process import writing
from experiments.trace.timeline import SUFFIX

RECORDS = 1 << 17  # messages that all ranks of a run keep together: about 50 MB of trace.json, which viewers can open
LEAST = 1 << 10  # messages that each rank may keep in any case


class Untraced:
    """Records nothing. A context manager around the life of a rank."""

    def endpoint(self, inner: Endpoint) -> Endpoint:
        """Return the endpoint to use in place of `inner`."""
        return inner

    def clock(self, kind: type[StageClock], *arguments: Any) -> StageClock:
        """Return a stage clock of this kind, made with these arguments."""
        return kind(*arguments)

    def __enter__(self) -> Untraced:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Write nothing."""


class TraceRecorder(Untraced):
    """Records messages and stages, each in a buffer of its own: with overlap they come from two threads.

    Writes `path` when the context ends; RunError if that fails. `ranks` share the room; `clock` is the clock's number.
    """

    def __init__(self, path: Path, place: Place, ranks: int, clock: int) -> None:
        limit = max(LEAST, RECORDS // ranks)
        self.path, self.place, self._clock = path, place, clock
        self.messages, self.stages = TraceBuffer(limit), TraceBuffer(limit)

    def endpoint(self, inner: Endpoint) -> Endpoint:
        return TracedEndpoint(inner, self.messages)

    def clock(self, kind: type[StageClock], *arguments: Any) -> StageClock:
        made: TracedClock = type(f"Traced{kind.__name__}", (TracedClock, kind), {})(*arguments)
        made.place, made.note = self.place, self.stages.note
        return made

    def records(self) -> Records:
        """Return what was recorded so far. The first record names the clock."""
        return np.concatenate([clock_record(self._clock), self.stages.records(), self.messages.records()])

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with writing(self.place) if error is None else contextlib.suppress(OSError):
            part = self.path.with_suffix(".part")
            try:
                with open(part, "wb") as file:
                    np.save(file, self.records(), allow_pickle=False)
                part.rename(self.path)
            finally:
                part.unlink(missing_ok=True)


class TracedClock(StageClock):
    """Notes each stretch of a stage when it is over. It goes before another kind of stage clock among the bases."""

    place: Place
    note: Callable[[Row], None]

    def _charge(self) -> None:
        began, now = self._since, self.now()
        if self._stack:
            stage = self._stack[-1]
            self.seconds[stage] += now - began
            self.note((STAGE_KINDS[stage], -1, 0, self.place.step, 0, 0, began, now))
        self._since = now


def trace_file(results: Path, place: Place) -> Path:
    """Return the path of a rank's trace in the folder of its run."""
    return results / "ranks" / f"{place.rank}-{place.role}{SUFFIX}"
