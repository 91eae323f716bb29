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

from dataclasses import dataclass

import numpy as np

from common.records.trace_buffer import ALSO, SETTLE
from experiments.trace.timeline import Timeline
from experiments.trace.walk import Walk, messages_of_call, sent_last


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
        return Path({}, 0.0, 0, [0.0] * len(timeline.tapes))
    start, end, last = span
    walk = Walk(timeline)
    walk.back(last, start, end)
    return Path(dict(walk.charged), end - start, _steps(timeline, span, warmup), _waited(timeline, span))


Span = tuple[float, float, int]  # from when until when, and the number of the tape that ended it


def _span(timeline: Timeline, warmup: int) -> Span | None:
    """The steps from `warmup` on, as far as they are known; None if there are none."""
    starts, ends = [], []
    for number, tape in enumerate(timeline.tapes):
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
    for tape in timeline.tapes:
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
    return [float(total) for total in np.bincount(timeline.owner, seconds, len(timeline.tapes))]


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
