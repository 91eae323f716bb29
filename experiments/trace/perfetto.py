"""The file trace.json of a run: its timeline in the Trace Event Format, which Perfetto and chrome://tracing open.

A process is a rank; its threads are tracks: stages, send, receive, wait. A receive waits until its message was sent.
Times stay whole nanoseconds until they are written, so that nested slices stay nested.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common.errors import FINISH, SETUP, step_name
from common.records.stage_clock import STAGES
from common.records.trace_buffer import SEND, SETTLE, STAGE
from experiments.trace.timeline import RankTrace, Timeline, bytes_in_flight, read_traces, timeline

NAME = "trace.json"  # in the folder of the run
VIEWERS = "https://ui.perfetto.dev or chrome://tracing"
Event = dict[str, Any]
TRACKS = ("train and other stages", "send", "receive", "wait")
STAGE_TRACK, SEND_TRACK, RECEIVE_TRACK, WAIT_TRACK = range(len(TRACKS))


def write_trace(folder: Path) -> Timeline:
    """Merge the traces of the ranks of the run in `folder` and write trace.json atomically. ConfigError, OSError."""
    found = timeline(read_traces(folder))
    document = {"displayTimeUnit": "ms", "otherData": _about(found), "traceEvents": trace_events(found)}
    part = folder / f"{NAME}.part"
    try:
        part.write_bytes(msgspec.json.encode(document))
        part.rename(folder / NAME)
    finally:
        part.unlink(missing_ok=True)
    return found


def _about(found: Timeline) -> dict[str, Any]:
    """Return what a reader of the trace should know: missing parts, and the corrections of the clocks."""
    clock_of = {str(trace.rank): found.clocks.index(trace.clock) for trace in found.traces}
    ahead, uncertainty = found.offsets.ahead.tolist(), found.offsets.uncertainty.tolist()
    return {
        "schema": 1,
        "made_by": "syncbench",
        "cut": cut_line(found),
        "seconds": round(found.window[1] - found.window[0], 7),
        "clocks": len(found.clocks),
        "clock_offset_seconds": {rank: round(ahead[clock], 9) for rank, clock in clock_of.items()},
        "clock_uncertainty_seconds": {  # infinity becomes null
            rank: round(uncertainty[clock], 9) for rank, clock in clock_of.items()
        },
    }


def cut_line(found: Timeline) -> str | None:
    """Return a phrase that says what was left out of a long run; None if nothing was."""
    if not any(len(trace.cuts) for trace in found.traces):
        return None
    began, ended = found.window
    kept = [trace.stages["step"][trace.stages["began"] >= began] for trace in found.traces if trace.role == "worker"]
    first = min((int(steps[steps >= 0].min()) for steps in kept if (steps >= 0).any()), default=None)
    since = "" if first is None else f", from step {first} on"
    return f"a long run, of which only the last {ended - began:.3g} s are in the trace{since}"


def trace_events(timeline: Timeline) -> list[Event]:
    """Return all events: names first, then the others by time, in µs since the beginning of the window."""
    drawing = _Drawing(timeline)
    events = [event for number in range(len(timeline.traces)) for event in drawing.rank(number)]
    events += drawing.in_flight()
    # An outer slice comes before inner ones, an arrow after the slice that it starts in.
    events.sort(key=lambda event: (event["ts"], event["ph"] != "X", -event.get("dur", 0)))
    for event in events:
        event |= {key: event[key] / 1000 for key in ("ts", "dur") if key in event}
    return [*(event for trace in timeline.traces for event in _names(trace)), *events]


def _event(trace: RankTrace, track: int, phase: str, name: str, **more: Any) -> Event:
    pid = trace.rank + 1  # some viewers take process 0 for the idle process
    return {"ph": phase, "name": name, "pid": pid, "tid": 10 * pid + track, **more}


def _slice(trace: RankTrace, track: int, name: str, category: str, began: int, ended: int, args: Event) -> Event:
    """Return a slice of at least 1 ns, because arrows need a slice that lasts."""
    return _event(trace, track, "X", name, cat=category, ts=began, dur=max(1, ended - began), args=args)


def _names(trace: RankTrace) -> Iterator[Event]:
    yield _event(trace, 0, "M", "process_name", args={"name": trace.name})
    yield _event(trace, 0, "M", "process_sort_index", args={"sort_index": trace.rank})
    for track, name in enumerate(TRACKS):
        yield _event(trace, track, "M", "thread_name", args={"name": name})
        yield _event(trace, track, "M", "thread_sort_index", args={"sort_index": track})


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
                moment = int(began if trace.role == "worker" else ended)
                yield _event(trace, 0, "C", "clock", ts=moment, args={"step": step})

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
                yield _event(trace, SEND_TRACK, "s", "message", cat="message", id=index, ts=began)
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
                send = int(partner[index])
                tip = max(arrived, ended - 1, int(self.began[send]))  # inside the slice that it is bound to
                yield _event(trace, RECEIVE_TRACK, "f", "message", cat="message", id=send, bp="e", ts=tip)

    def in_flight(self) -> Iterator[Event]:
        """Yield, for each sender, the bytes of messages whose send has begun and whose receive has not ended."""
        timeline = self.timeline
        for number, trace in enumerate(timeline.traces):
            mine = self.arrows[timeline.owner[self.arrows] == number]
            ended = np.maximum(self.ended[timeline.partner[mine]], self.began[mine])
            moments, total = bytes_in_flight(self.began[mine], ended, timeline.messages["nbytes"][mine])
            last = np.append(np.diff(moments) > 0, True)[: len(moments)]  # of several changes at one moment
            for moment, nbytes in zip(moments[last].tolist(), total[last].tolist(), strict=True):
                yield _event(trace, 0, "C", "bytes in flight", ts=moment, args={"bytes": nbytes})


def _step(step: int) -> int | str:
    return step_name(step) if step in (SETUP, FINISH) else step
