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

from common.tape import ALSO, SETTLE
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
    walk = Walk(timeline)
    spans = [span for window in timeline.windows if (span := _span(timeline, window, warmup)) is not None]
    for start, end, last in spans:
        walk.back(last, start, end)
    seconds = sum(end - start for start, end, _ in spans)
    return Path(dict(walk.charged), seconds, _steps(timeline, spans, warmup), _waited(timeline, spans))


Span = tuple[float, float, int]  # from when until when, and the number of the tape that ended it


def _span(timeline: Timeline, window: tuple[float, float], warmup: int) -> Span | None:
    """The steps in `window`; None if there are none."""
    starts, ends = [], []
    for number, tape in enumerate(timeline.tapes):
        inside = (tape.stages["began"] >= window[0]) & (tape.stages["ended"] <= window[1])
        steps = tape.stages[inside & (tape.stages["step"] >= warmup)]
        if tape.role == "worker" and len(steps):
            starts.append(float(steps["began"][0]))
            ends.append((float(steps["ended"][-1]), number))
    if not starts:
        return None
    end, last = max(ends)
    return min(starts), end, last


def _steps(timeline: Timeline, spans: list[Span], warmup: int) -> int:
    """How many steps from `warmup` on the workers were in, in the spans."""
    begun: set[int] = set()
    for tape in timeline.tapes:
        if tape.role == "worker":
            for start, end, _ in spans:
                inside = (tape.stages["began"] >= start) & (tape.stages["ended"] <= end)
                begun.update(tape.stages["step"][inside & (tape.stages["step"] >= warmup)].tolist())
    return len(begun)


def _waited(timeline: Timeline, spans: list[Span]) -> list[float]:
    """Seconds in the spans that each tape waited for messages to be sent, and for what it lent to be read."""
    messages = timeline.messages
    until = np.where(messages["kind"] == SETTLE, messages["ended"], messages["began"])
    received = np.flatnonzero(np.isfinite(timeline.sent))
    until[received] = np.maximum(timeline.sent[received], until[received])
    until[_not_last(timeline)] = -np.inf
    waited = [0.0] * len(timeline.tapes)
    for start, end, _ in spans:
        seconds = np.maximum(0.0, np.minimum(until, end) - np.maximum(messages["began"], start))
        for number, total in enumerate(np.bincount(timeline.owner, seconds, len(waited))):
            waited[number] += float(total)
    return waited


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
