"""A timeline as events of the Trace Event Format, which Perfetto and chrome://tracing open.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format)

A process is a rank; its threads are tracks: stages, send, receive, wait. A receive that began before its message had
been sent is a wait until then, and a receive from then on. Times stay whole nanoseconds until they are written, so that
nested slices stay nested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from common.errors import FINISH, SETUP, step_name
from common.records.stage_clock import STAGES
from common.records.trace_buffer import SEND, SETTLE, STAGE
from experiments.trace.load import RankTrace
from experiments.trace.timeline import Timeline, bytes_in_flight

Event = dict[str, Any]
TRACKS = ("train and other stages", "send", "receive", "wait")
STAGE_TRACK, SEND_TRACK, RECEIVE_TRACK, WAIT_TRACK = range(len(TRACKS))


def trace_events(timeline: Timeline) -> list[Event]:
    """Return all events: names first, then the others by time, in µs since the beginning of the window."""
    drawing = _Drawing(timeline)
    events = [event for number in range(len(timeline.traces)) for event in drawing.rank(number)]
    events += drawing.in_flight()
    events.sort(key=_order)
    for event in events:
        event["ts"] /= 1000
        if "dur" in event:
            event["dur"] /= 1000
    return [*(event for trace in timeline.traces for event in _names(trace)), *events]


def _order(event: Event) -> tuple[int, bool, int]:
    """Sort by time; an outer slice comes before inner ones, an arrow after the slice that it starts in."""
    return event["ts"], event["ph"] != "X", -event.get("dur", 0)


def _where(trace: RankTrace, track: int = 0) -> Event:
    pid = trace.rank + 1  # some viewers take process 0 for the idle process
    return {"pid": pid, "tid": 10 * pid + track}


def _names(trace: RankTrace) -> Iterator[Event]:
    process = {"ph": "M", **_where(trace)}
    yield {**process, "name": "process_name", "args": {"name": trace.name}}
    yield {**process, "name": "process_sort_index", "args": {"sort_index": trace.rank}}
    for track, name in enumerate(TRACKS):
        thread = {"ph": "M", **_where(trace, track)}
        yield {**thread, "name": "thread_name", "args": {"name": name}}
        yield {**thread, "name": "thread_sort_index", "args": {"sort_index": track}}


class _Drawing:
    """The events of a timeline, in ns since the beginning of its window. Earlier records are left out."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.names = {trace.rank: trace.name for trace in timeline.traces}
        self.origin = timeline.window[0]
        messages = timeline.messages
        self.began, self.ended = self._ns(messages["began"]), self._ns(messages["ended"])
        self.sent = self._ns(np.nan_to_num(timeline.sent, nan=self.origin))
        self.inside = messages["began"] >= self.origin
        paired = np.flatnonzero((messages["kind"] == SEND) & (timeline.partner >= 0) & self.inside)
        self.arrows = paired[self.inside[timeline.partner[paired]]]  # sends with both ends inside the window
        self.has_arrow = np.zeros(len(messages), bool)
        self.has_arrow[self.arrows] = self.has_arrow[timeline.partner[self.arrows]] = True

    def _ns(self, seconds: Any) -> Any:
        return np.rint((seconds - self.origin) * 1e9).astype(np.int64)

    def rank(self, number: int) -> Iterator[Event]:
        """Yield the slices, arrows and step counter of one rank."""
        trace = self.timeline.traces[number]
        yield from self._stages(trace)
        index, end = self.timeline.starts[number : number + 2].tolist()
        while index < end:
            call = self.timeline.call(index)
            if self.inside[index]:
                yield from self._call(trace, call)
            index = call.stop

    def _stages(self, trace: RankTrace) -> Iterator[Event]:
        records = trace.stages[trace.stages["began"] >= self.origin]
        clock = -1
        for record, began, ended in zip(records, self._ns(records["began"]), self._ns(records["ended"]), strict=True):
            name, step = STAGES[record["kind"] - STAGE], int(record["step"])
            if ended > began:
                yield _slice(trace, STAGE_TRACK, name, "stage", int(began), int(ended), {"step": _step(step)})
            if step > clock:
                clock = step
                yield _counter(trace, "clock", int(began if trace.role == "worker" else ended), "step", step)

    def _call(self, trace: RankTrace, call: range) -> Iterator[Event]:
        """Yield the events of one call of the endpoint, given its messages."""
        index = call[0]
        first = self.timeline.messages[index]
        args = {"step": _step(int(first["step"])), "bucket": int(first["bucket"])}
        began, ended = int(self.began[index]), int(self.ended[index])
        if first["kind"] == SETTLE:
            if ended > began:
                yield _slice(trace, WAIT_TRACK, "settle: until all is read", "wait", began, ended, args)
        elif first["kind"] == SEND:
            args["bytes"] = int(first["nbytes"])
            yield _slice(trace, SEND_TRACK, f"to {int(first['peer'])}", "send", began, ended, args)
            if self.has_arrow[index]:
                yield {**_arrow(index), "ph": "s", "ts": began, **_where(trace, SEND_TRACK)}
        else:
            yield from self._receive(trace, call, args, began, ended)

    def _receive(self, trace: RankTrace, call: range, args: Event, began: int, ended: int) -> Iterator[Event]:
        messages, partner = self.timeline.messages, self.timeline.partner
        last = max(call, key=lambda index: self.sent[index])
        arrived = min(max(began, int(self.sent[last])), ended)
        if arrived > began:
            sender = self.names.get(int(messages["peer"][last]), "?")
            yield _slice(trace, WAIT_TRACK, f"for {sender}", "wait", began, arrived, args)
        senders = ", ".join(str(messages["peer"][index]) for index in call)
        nbytes = int(messages["nbytes"][call.start : call.stop].sum())
        yield _slice(trace, RECEIVE_TRACK, f"from {senders}", "receive", arrived, ended, {**args, "bytes": nbytes})
        for index in call:
            if self.has_arrow[index]:
                tip = max(arrived, ended - 1, int(self.began[partner[index]]))  # inside the slice that it is bound to
                yield {**_arrow(int(partner[index])), "ph": "f", "bp": "e", "ts": tip, **_where(trace, RECEIVE_TRACK)}

    def in_flight(self) -> Iterator[Event]:
        """Yield, for each sender, the bytes of messages whose send has begun and whose receive has not ended."""
        timeline = self.timeline
        for number, trace in enumerate(timeline.traces):
            mine = self.arrows[timeline.owner[self.arrows] == number]
            ended = np.maximum(self.ended[timeline.partner[mine]], self.began[mine])
            moments, total = bytes_in_flight(self.began[mine], ended, timeline.messages["nbytes"][mine])
            last = np.append(moments[1:] != moments[:-1], True) if len(moments) else np.empty(0, bool)
            for moment, nbytes in zip(moments[last].tolist(), total[last].tolist(), strict=True):
                yield _counter(trace, "bytes in flight", moment, "bytes", nbytes)


def _slice(trace: RankTrace, track: int, name: str, category: str, began: int, ended: int, args: Event) -> Event:
    """Return a slice of at least 1 ns, because arrows need a slice that lasts."""
    times = {"ts": began, "dur": max(1, ended - began)}
    return {"name": name, "cat": category, "ph": "X", **times, **_where(trace, track), "args": args}


def _counter(trace: RankTrace, name: str, moment: int, unit: str, value: int) -> Event:
    return {"name": name, "ph": "C", "ts": moment, **_where(trace), "args": {unit: value}}


def _arrow(send: int) -> Event:
    return {"name": "message", "cat": "message", "id": send}


def _step(step: int) -> int | str:
    return step_name(step) if step in (SETUP, FINISH) else step
