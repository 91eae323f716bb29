"""A timeline as events of the Trace Event Format, which Perfetto and chrome://tracing open.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format)

A process is a rank; its threads are tracks: stages, send, receive, wait. A receive that began before the message had
been sent is a wait until then, and receiving from then on. Times are whole nanoseconds until they are written: so what
is nested stays nested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from common.errors import FINISH, SETUP, step_name
from common.records.stage_clock import STAGES
from common.records.trace_buffer import ALSO, SEND, SETTLE, STAGE
from experiments.trace.load import RankTrace
from experiments.trace.timeline import Timeline

Event = dict[str, Any]
TRACKS = ("train and other stages", "send", "receive", "wait")
STAGE_TRACK, SEND_TRACK, RECEIVE_TRACK, WAIT_TRACK = range(len(TRACKS))


def trace_events(timeline: Timeline) -> list[Event]:
    """All events: names first, then the others by time, in µs since the first of them."""
    drawn = _Drawing(timeline)
    events = [event for number in range(len(timeline.traces)) for event in drawn.rank(number)]
    events += drawn.in_flight()
    events.sort(key=_order)
    for event in events:
        event["ts"] /= 1000
        if "dur" in event:
            event["dur"] /= 1000
    return [*(event for tape in timeline.traces for event in _names(tape)), *events]


def _order(event: Event) -> tuple[int, bool, int]:
    """By time; what begins with others comes before those that it contains, an arrow behind where it starts."""
    return event["ts"], event["ph"] != "X", -event.get("dur", 0)


def _pid(tape: RankTrace) -> int:
    return tape.rank + 1  # process 0 is the idle one to some viewers


def _tid(tape: RankTrace, track: int) -> int:
    return 10 * _pid(tape) + track


def _names(tape: RankTrace) -> Iterator[Event]:
    process = {"ph": "M", "pid": _pid(tape), "tid": _tid(tape, 0)}
    yield {**process, "name": "process_name", "args": {"name": tape.name}}
    yield {**process, "name": "process_sort_index", "args": {"sort_index": tape.rank}}
    for track, name in enumerate(TRACKS):
        thread = {"ph": "M", "pid": _pid(tape), "tid": _tid(tape, track)}
        yield {**thread, "name": "thread_name", "args": {"name": name}}
        yield {**thread, "name": "thread_sort_index", "args": {"sort_index": track}}


class _Drawing:
    """Times are in ns since the begin of the timeline's window; what is not wholly in that is not drawn."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.names = {tape.rank: tape.name for tape in timeline.traces}
        self.origin = timeline.window[0]
        messages = timeline.messages
        self.began, self.ended = self._ns(messages["began"]), self._ns(messages["ended"])
        self.sent = self._ns(np.nan_to_num(timeline.sent, nan=self.origin))
        self.whole = self._within(messages)
        paired = np.flatnonzero((messages["kind"] == SEND) & (timeline.partner >= 0) & self.whole)
        self.arrows = paired[self.whole[timeline.partner[paired]]]  # sends whose other end is drawn as well
        self.arrow = np.zeros(len(messages), bool)
        self.arrow[self.arrows] = self.arrow[timeline.partner[self.arrows]] = True

    def _ns(self, seconds: Any) -> Any:
        return np.rint((seconds - self.origin) * 1e9).astype(np.int64)

    def _within(self, records: Any) -> Any:
        return records["began"] >= self.origin

    def rank(self, number: int) -> Iterator[Event]:
        """The slices, arrows and clock of one tape."""
        tape = self.timeline.traces[number]
        yield from self._stages(tape)
        first, end = self.timeline.starts[number : number + 2].tolist()
        kinds = self.timeline.messages["kind"]
        index = first
        while index < end:
            after = index + 1
            while after < end and kinds[after] == ALSO:
                after += 1
            if self.whole[index]:
                yield from self._call(tape, range(index, after))
            index = after

    def _stages(self, tape: RankTrace) -> Iterator[Event]:
        records = tape.stages[self._within(tape.stages)]
        clock = -1
        for record, began, ended in zip(records, self._ns(records["began"]), self._ns(records["ended"]), strict=True):
            name, step = STAGES[record["kind"] - STAGE], int(record["step"])
            if ended > began:
                yield _slice(tape, STAGE_TRACK, name, "stage", int(began), int(ended), {"step": _step(step)})
            if step > clock:
                clock = step
                yield _counter(tape, "clock", int(began if tape.role == "worker" else ended), "step", step)

    def _call(self, tape: RankTrace, records: range) -> Iterator[Event]:
        """What one call of the endpoint has done: `records` are its messages."""
        first = self.timeline.messages[records[0]]
        where = {"step": _step(int(first["step"])), "bucket": int(first["bucket"])}
        began, ended = int(self.began[records[0]]), int(self.ended[records[0]])
        if first["kind"] == SETTLE:
            if ended > began:
                yield _slice(tape, WAIT_TRACK, "settle: until all is read", "wait", began, ended, where)
        elif first["kind"] == SEND:
            to, nbytes = int(first["peer"]), int(first["nbytes"])
            yield _slice(tape, SEND_TRACK, f"to {to}", "send", began, ended, {**where, "bytes": nbytes})
            if self.arrow[records[0]]:
                yield {**_arrow(records[0]), "ph": "s", "ts": began, "pid": _pid(tape), "tid": _tid(tape, SEND_TRACK)}
        else:
            yield from self._receive(tape, records, where, began, ended)

    def _receive(self, tape: RankTrace, records: range, where: Event, began: int, ended: int) -> Iterator[Event]:
        messages, partner = self.timeline.messages, self.timeline.partner
        last = max(records, key=lambda index: self.sent[index])
        there = min(max(began, int(self.sent[last])), ended)
        if there > began:
            whom = self.names.get(int(messages["peer"][last]), "?")
            yield _slice(tape, WAIT_TRACK, f"for {whom}", "wait", began, there, where)
        senders = [int(messages["peer"][index]) for index in records]
        nbytes = sum(int(messages["nbytes"][index]) for index in records)
        name = f"from {', '.join(map(str, senders))}"
        yield _slice(tape, RECEIVE_TRACK, name, "receive", there, ended, {**where, "bytes": nbytes})
        for index in records:
            if self.arrow[index]:
                tip = max(there, ended - 1, int(self.began[partner[index]]))  # inside the slice, which it is bound to
                arrow = {**_arrow(int(partner[index])), "ph": "f", "bp": "e"}
                yield {**arrow, "ts": tip, "pid": _pid(tape), "tid": _tid(tape, RECEIVE_TRACK)}

    def in_flight(self) -> Iterator[Event]:
        """For each sender, the bytes that have begun to leave it and are not all received yet."""
        timeline = self.timeline
        for number, tape in enumerate(timeline.traces):
            mine = self.arrows[timeline.owner[self.arrows] == number]
            sizes = timeline.messages["nbytes"][mine]
            times = np.concatenate([self.began[mine], np.maximum(self.ended[timeline.partner[mine]], self.began[mine])])
            changes = np.concatenate([sizes, -sizes])
            order = np.argsort(times, kind="stable")
            moments, total = times[order], np.cumsum(changes[order])
            last = np.append(moments[1:] != moments[:-1], True) if len(moments) else np.empty(0, bool)
            for moment, nbytes in zip(moments[last].tolist(), total[last].tolist(), strict=True):
                yield _counter(tape, "bytes in flight", moment, "bytes", nbytes)


def _slice(tape: RankTrace, track: int, name: str, category: str, began: int, ended: int, args: Event) -> Event:
    """Lasts 1 ns at least: arrows are bound to slices that last."""
    where = {"pid": _pid(tape), "tid": _tid(tape, track)}
    return {"name": name, "cat": category, "ph": "X", "ts": began, "dur": max(1, ended - began), **where, "args": args}


def _counter(tape: RankTrace, name: str, moment: int, unit: str, value: int) -> Event:
    return {"name": name, "ph": "C", "ts": moment, "pid": _pid(tape), "tid": _tid(tape, 0), "args": {unit: value}}


def _arrow(send: int) -> Event:
    return {"name": "message", "cat": "message", "id": send}


def _step(step: int) -> int | str:
    return step_name(step) if step in (SETUP, FINISH) else step
