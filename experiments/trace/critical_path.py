"""The critical path: from the end of the last step backwards, always with whoever was waited for.

As in critical-path analysis of message-passing programs (Yang & Miller, ICDCS 1988; Schulz, 2005): on a rank the path
goes back through what it did, until a call that had to wait for a message. From there it goes back with the message to
the rank that sent it, and on from where it was sent. Each moment of the steps is so charged to one rank and one stage:
a second less there would have been a second less for all, at least until another path is the longest.

A message is waited for if it was sent after the call that received it had begun, or so shortly before that it cannot
have been there (transports that take time). Of several messages that one call adds up, that is the one sent last. A
`settle` waits for whoever was last to read what was lent. The time that a message was on its way is charged to the end
that had more bytes on their way just then, the one in whose link or memory they queue: stage synchronize.
"""

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


@dataclass(frozen=True, slots=True)
class Path:
    """Seconds on the path by (number of the tape, stage), over `seconds` of `steps` steps. `waited`: by tape."""

    charged: dict[tuple[int, str], float]
    seconds: float
    steps: int
    waited: list[float]


def critical_path(timeline: Timeline, warmup: int = 0) -> Path:
    """Over the steps from `warmup` on, as far as they are known."""
    span = _span(timeline, warmup)
    if span is None:
        return Path({}, 0.0, 0, [0.0] * len(timeline.traces))
    start, end, last = span
    walk = Walk(timeline)
    walk.back(last, start, end)
    return Path(dict(walk.charged), end - start, _steps(timeline, span, warmup), _waited(timeline, span))


Span = tuple[float, float, int]  # from when until when, and the number of the tape that ended it


def _span(timeline: Timeline, warmup: int) -> Span | None:
    """The steps from `warmup` on, as far as they are known; None if there are none."""
    starts, ends = [], []
    for number, tape in enumerate(timeline.traces):
        steps = tape.stages[(tape.stages["began"] >= timeline.window[0]) & (tape.stages["step"] >= warmup)]
        if tape.role == "worker" and len(steps):
            starts.append(float(steps["began"][0]))
            ends.append((float(steps["ended"][-1]), number))
    if not starts:
        return None
    end, last = max(ends)
    return min(starts), end, last


def _steps(timeline: Timeline, span: Span, warmup: int) -> int:
    """How many steps from `warmup` on the workers were in."""
    begun: set[int] = set()
    for tape in timeline.traces:
        if tape.role == "worker":
            inside = (tape.stages["began"] >= span[0]) & (tape.stages["step"] >= warmup)
            begun.update(tape.stages["step"][inside].tolist())
    return len(begun)


def _waited(timeline: Timeline, span: Span) -> list[float]:
    """Seconds that each tape waited for messages to be sent, and for what it lent to be read."""
    start, end, _ = span
    messages = timeline.messages
    until = np.where(messages["kind"] == SETTLE, messages["ended"], messages["began"])
    received = np.flatnonzero(np.isfinite(timeline.sent))
    until[received] = np.maximum(timeline.sent[received], until[received])
    until[_not_last(timeline)] = -np.inf
    seconds = np.maximum(0.0, np.minimum(until, end) - np.maximum(messages["began"], start))
    return [float(total) for total in np.bincount(timeline.owner, seconds, len(timeline.traces))]


def _not_last(timeline: Timeline) -> list[int]:
    """Of each call that received several messages, all but the one sent last: it waited for that alone."""
    kinds = timeline.messages["kind"]
    others = []
    for index in np.flatnonzero(kinds == ALSO).tolist():
        if kinds[index - 1] != ALSO:
            first = index - 1
        rest = messages_of_call(kinds, first)
        if index == rest[-1]:
            others += [each for each in rest if each != sent_last(timeline, rest)]
    return others


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
        tape = self.timeline.traces[number]
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
