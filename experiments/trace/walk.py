"""The walk along the critical path, from a moment on one rank back to the start: see path.py for its rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from common.records.stage_clock import STAGES
from common.records.trace_buffer import ALSO, RECEIVE, SEND, SETTLE, STAGE
from experiments.trace.clock_offsets import Floats
from experiments.trace.timeline import Timeline

ELSEWHERE = "between stages"
SYNCHRONIZE = "synchronize"


def messages_of_call(kinds: np.ndarray, first: int) -> range:
    """The records of the call whose first is `first`."""
    end = first + 1
    while end < len(kinds) and kinds[end] == ALSO:
        end += 1
    return range(first, end)


def sent_last(timeline: Timeline, records: range) -> int:
    sent = timeline.sent
    return max(records, key=lambda index: (-np.inf if np.isnan(sent[index]) else sent[index], index))


class _InFlight:
    """How many bytes are on their way out of each rank, and into it, at a moment."""

    def __init__(self, timeline: Timeline) -> None:
        messages, partner, owner = timeline.messages, timeline.partner, timeline.owner
        sent = np.flatnonzero((messages["kind"] == SEND) & (partner >= 0))
        began, ended = messages["began"][sent], messages["ended"][partner[sent]]
        sizes = messages["nbytes"][sent].astype(float)
        self._out = _level(owner[sent], began, ended, sizes)
        self._into = _level(owner[partner[sent]], began, ended, sizes)

    def busier(self, sender: int, receiver: int, moment: float) -> int:
        """Which of the two has more; the receiver, if they have the same."""
        return sender if self._at(self._out, sender, moment) > self._at(self._into, receiver, moment) else receiver

    @staticmethod
    def _at(levels: dict[int, tuple[Floats, Floats]], number: int, moment: float) -> float:
        moments, level = levels[number]
        return float(level[np.searchsorted(moments, moment, "right") - 1])


def _level(whose: np.ndarray, began: Floats, ended: Floats, sizes: Floats) -> dict[int, tuple[Floats, Floats]]:
    """By tape: moments, and the bytes from each of them on."""
    levels = {}
    for number in np.unique(whose).tolist():
        mine = whose == number
        times = np.concatenate([began[mine], ended[mine]])
        changes = np.concatenate([sizes[mine], -sizes[mine]])
        order = np.argsort(times, kind="stable")
        levels[number] = times[order], np.cumsum(changes[order])
    return levels


@dataclass(slots=True)
class Walk:
    """Goes back and charges."""

    timeline: Timeline
    charged: defaultdict[tuple[int, str], float] = field(default_factory=lambda: defaultdict(float))
    _flights: dict[tuple[int, int, int], float] = field(init=False)
    _in_flight: _InFlight = field(init=False)

    def __post_init__(self) -> None:
        self._flights = _shortest_flights(self.timeline)
        self._in_flight = _InFlight(self.timeline)

    def back(self, number: int, start: float, end: float) -> None:
        """From `end` on tape `number` back to `start`."""
        timeline = self.timeline
        first, last = timeline.starts[number : number + 2].tolist()
        index = first + int(np.searchsorted(timeline.messages["ended"][first:last], end, "right"))
        moment = end
        while moment > start:
            cause = self._cause(number, index, start)
            if cause is None:
                self._local(number, range(int(timeline.starts[number]), index), start, moment)
                return
            waited, released, sender, sent_by, left = cause
            released = min(released, moment)
            left = min(left, released)
            self._local(number, range(waited, index), released, moment)
            if left < released:
                charged = self._in_flight.busier(sender, number, left)
                self.charged[charged, SYNCHRONIZE] += released - max(left, start)
            number, index, moment = sender, sent_by, left

    def _cause(self, number: int, index: int, start: float) -> tuple[int, float, int, int, float] | None:
        """The latest call on tape `number` before record `index` that waited for another rank.

        Its record, when it could go on, the tape of the rank it waited for, up to which record that has to do with it,
        and when. None if there is none that ended after `start`.
        """
        timeline = self.timeline
        messages, first = timeline.messages, int(timeline.starts[number])
        index -= 1
        while index >= first and messages["ended"][index] > start:
            begin = index
            while messages["kind"][begin] == ALSO:
                begin -= 1
            kind = messages["kind"][begin]
            if kind == RECEIVE and (found := self._message(messages_of_call(messages["kind"], begin))) is not None:
                return begin, float(messages["ended"][begin]), *found
            if kind == SETTLE and (read := self._read(number, begin)) is not None:
                return begin, read[2], *read
            index = begin - 1
        return None

    def _message(self, records: range) -> tuple[int, int, float] | None:
        """Who sent the message that a call waited for, as which record, when; None if it was there."""
        timeline = self.timeline
        messages = timeline.messages
        last = sent_last(timeline, records)
        send = int(timeline.partner[last])
        if send < 0:
            return None
        left = float(timeline.sent[last])
        sender = int(timeline.owner[send])
        flight = self._flights.get((sender, int(timeline.owner[last]), int(messages["nbytes"][last])), 0.0)
        if left + flight <= messages["began"][last]:
            return None
        return sender, send + 1, left

    def _read(self, number: int, settle: int) -> tuple[int, int, float] | None:
        """Who was last to read what had been lent before a settle; None if nobody kept it waiting."""
        timeline = self.timeline
        messages, partner = timeline.messages, timeline.partner
        began, ended = float(messages["began"][settle]), float(messages["ended"][settle])
        latest, reader = began, -1
        for index in range(settle - 1, int(timeline.starts[number]) - 1, -1):
            if messages["kind"][index] == SETTLE:
                break
            read = int(partner[index])
            if messages["kind"][index] != SEND or read < 0:
                continue
            moment = float(messages["ended"][read])
            alone = messages["kind"][read] == RECEIVE and len(messages_of_call(messages["kind"], read)) == 1
            if alone and messages["began"][read] <= ended:
                moment = min(moment, ended)  # its reader may have been interrupted before it noted the time
            if latest < moment <= ended:
                latest, reader = moment, read
        return (int(timeline.owner[reader]), reader + 1, latest) if reader >= 0 else None

    def _local(self, number: int, records: range, start: float, end: float) -> None:
        """Charge `start` to `end` to tape `number`: calls of the endpoint are synchronize, the rest its stages."""
        messages = self.timeline.messages
        moment = end
        for index in reversed(records):
            began, ended = float(messages["began"][index]), float(messages["ended"][index])
            if ended <= start:
                break
            if began >= moment or messages["kind"][index] == ALSO:
                continue
            ended = min(ended, moment)
            self._stages(number, ended, moment)
            moment = max(began, start)
            self.charged[number, SYNCHRONIZE] += ended - moment
        self._stages(number, start, moment)

    def _stages(self, number: int, start: float, end: float) -> None:
        """Charge `start` to `end`, in which tape `number` had no call, to the stages that it was in."""
        if end <= start:
            return
        tape = self.timeline.tapes[number]
        left = end - start
        for stage, began, ended in _stages_between(tape.stages, start, end):
            self.charged[number, stage] += ended - began
            left -= ended - began
        self.charged[number, SYNCHRONIZE if tape.role == "server" else ELSEWHERE] += max(0.0, left)


def _stages_between(stages: np.ndarray, start: float, end: float) -> Iterator[tuple[str, float, float]]:
    first = int(np.searchsorted(stages["ended"], start, "right"))
    for index in range(first, len(stages)):
        began, ended = float(stages["began"][index]), float(stages["ended"][index])
        if began >= end:
            return
        yield STAGES[stages["kind"][index] - STAGE], max(began, start), min(ended, end)


def _shortest_flights(timeline: Timeline) -> dict[tuple[int, int, int], float]:
    """By sender, receiver and bytes: the least seconds from when a message was sent until it was there.

    From messages that were waited for: others may have been there long before they were received.
    """
    messages, owner, partner = timeline.messages, timeline.owner, timeline.partner
    flights: dict[tuple[int, int, int], float] = {}
    with np.errstate(invalid="ignore"):
        waited = np.flatnonzero((messages["kind"] == RECEIVE) & (timeline.sent >= messages["began"]))
    for index in waited.tolist():
        key = int(owner[partner[index]]), int(owner[index]), int(messages["nbytes"][index])
        seconds = float(messages["ended"][index] - timeline.sent[index])
        flights[key] = min(flights.get(key, seconds), seconds)
    return flights
