"""All ranks of a run on one clock, and every message at both of its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from common.records.trace_buffer import ALSO, RECEIVE, SEND, Records
from experiments.trace.clock_offsets import Floats, Offsets, estimate, least_delays
from experiments.trace.load import RankTrace

Ints = NDArray[np.int64]
_SEQ = 1 << 40  # more messages than any pair of ranks exchanges


@dataclass(frozen=True)
class Timeline:
    """`traces` with times on one clock, in seconds. The messages of all of them are numbered through, tape by tape.

    messages   all of them; those of tape i have the numbers `starts[i]` to `starts[i + 1]`
    owner      of each message record, the number of its tape
    partner    of each, the number of its other end; -1 for a settle, and where the other end is not on a tape
    offsets    of the clocks that were read, in the order of `clocks`
    """

    traces: Sequence[RankTrace]
    messages: Records
    starts: Ints
    owner: Ints
    partner: Ints
    clocks: Sequence[int] = ()
    offsets: Offsets = field(default_factory=lambda: estimate(np.zeros((1, 1))))

    @cached_property
    def sent(self) -> Floats:
        """Of each receive, when the message had been sent, as far as its receiver can tell: it is there when it is.

        The end of its send; of a call that came back only after the message was received, then. NaN for all others.
        """
        moments = np.full(len(self.messages), np.nan)
        paired = np.flatnonzero(np.isin(self.messages["kind"], (RECEIVE, ALSO)) & (self.partner >= 0))
        moments[paired] = np.minimum(self.messages["ended"][self.partner[paired]], self.messages["ended"][paired])
        return moments

    @cached_property
    def window(self) -> tuple[float, float]:
        """From when until when all that happened is known, in seconds: the whole run, or how it ended."""
        every = [records for tape in self.traces for records in (tape.stages, tape.messages) if len(records)]
        if not every:
            return 0.0, 0.0
        began = min(float(each["began"].min()) for each in every)
        ended = max(float(each["ended"].max()) for each in every)
        return max([began, *(float(moment) for tape in self.traces for moment in tape.cuts["began"])]), ended

    @property
    def cut(self) -> bool:
        """Whether the beginning is missing."""
        return any(len(tape.cuts) for tape in self.traces)


def timeline(traces: Sequence[RankTrace]) -> Timeline:
    """Put the traces together, and their clocks right."""
    clocks = list(dict.fromkeys(tape.clock for tape in traces))
    apart = _numbered(traces)
    clock_of = np.array([clocks.index(tape.clock) for tape in traces])
    received = np.flatnonzero(np.isin(apart.messages["kind"], (RECEIVE, ALSO)) & (apart.partner >= 0))
    sent = apart.partner[received]
    delays = apart.messages["ended"][received] - apart.messages["began"][sent]
    senders, receivers = clock_of[apart.owner[sent]], clock_of[apart.owner[received]]
    offsets = estimate(least_delays(len(clocks), senders.tolist(), receivers.tolist(), delays))
    right = [_shifted(tape, -offsets.ahead[number]) for tape, number in zip(traces, clock_of, strict=True)]
    return replace(apart, traces=right, messages=_all_messages(right), clocks=clocks, offsets=offsets)


def _numbered(traces: Sequence[RankTrace]) -> Timeline:
    sizes = [len(tape.messages) for tape in traces]
    messages, owner = _all_messages(traces), np.repeat(np.arange(len(traces)), sizes)
    ranks = np.array([tape.rank for tape in traces])
    return Timeline(traces, messages, np.cumsum([0, *sizes]), owner, _partners(messages, ranks[owner]))


def _all_messages(traces: Sequence[RankTrace]) -> Records:
    return np.concatenate([tape.messages for tape in traces])


def _partners(messages: Records, rank: Ints) -> Ints:
    """The n-th message that a rank has sent to another is the n-th that the other has received from it."""
    partner = np.full(len(messages), -1)
    sent = np.flatnonzero(messages["kind"] == SEND)
    received = np.flatnonzero(np.isin(messages["kind"], (RECEIVE, ALSO)))
    peer, seq = messages["peer"].astype(np.int64), messages["seq"]
    most = int(max(rank.max(initial=0), peer.max(initial=0))) + 1
    sent_keys = (rank[sent] * most + peer[sent]) * _SEQ + seq[sent]
    received_keys = (peer[received] * most + rank[received]) * _SEQ + seq[received]
    _, ours, theirs = np.intersect1d(sent_keys, received_keys, assume_unique=True, return_indices=True)
    partner[sent[ours]], partner[received[theirs]] = received[theirs], sent[ours]
    return partner


def _shifted(tape: RankTrace, seconds: float) -> RankTrace:
    stages, messages, cuts = (_later(records, seconds) for records in (tape.stages, tape.messages, tape.cuts))
    return replace(tape, stages=stages, messages=messages, cuts=cuts)


def _later(records: Records, seconds: float) -> Records:
    moved = records.copy()
    moved["began"] += seconds
    moved["ended"] += seconds
    return moved
