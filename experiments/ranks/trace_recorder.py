"""A rank's part of a trace: what is put around its endpoint and its stage clock, and the file that comes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import STAGE_KINDS, Records, Row, TraceBuffer, clock_record
from common.transport.base import Endpoint
from common.transport.wrappers.traced import TracedEndpoint
from experiments.launch.rank_process import writing
from experiments.trace.load import SUFFIX

RECORDS = 1 << 17  # of messages that all ranks of a run keep together: some 50 MB of trace.json, which viewers can open
LEAST = 1 << 10  # that a rank keeps in any case


class Recording(Protocol):
    """What a rank is recorded with, if it is. A context manager around its life: what there is, is written then."""

    def endpoint(self, inner: Endpoint) -> Endpoint:
        """What is to be used in place of `inner`."""

    def clock(self, kind: type[StageClock], *arguments: Any) -> StageClock:
        """A stage clock of this kind, made with these arguments."""

    def __enter__(self) -> Recording: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Untraced:
    """Nothing is recorded, and nothing is in between."""

    def endpoint(self, inner: Endpoint) -> Endpoint:
        return inner

    def clock(self, kind: type[StageClock], *arguments: Any) -> StageClock:
        return kind(*arguments)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to write."""


class TraceRecorder:
    """Messages and stages in a buffer each: with overlap they come from two threads.

    `path` is the file; `ranks` share the room that there is; `clock` is `trace_buffer.this_clock` or VIRTUAL.
    RunError where the file cannot be written, unless something else went wrong before.
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
        """What has been noted so far; the first record names the clock."""
        return np.concatenate([clock_record(self._clock), self.stages.records(), self.messages.records()])

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with writing(self.place):
                self._write()
        else:
            with contextlib.suppress(OSError):
                self._write()

    def _write(self) -> None:
        part = self.path.with_suffix(".part")
        try:
            with open(part, "wb") as file:
                np.save(file, self.records(), allow_pickle=False)
            part.rename(self.path)
        finally:
            part.unlink(missing_ok=True)


class TracedClock(StageClock):
    """In front of a kind of stage clock: one that notes each stretch of a stage when it is over."""

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
    """Where a rank's records are in the folder of its run."""
    return results / "ranks" / f"{place.rank}-{place.role}{SUFFIX}"
