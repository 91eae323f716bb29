"""The timeline of a run: the records that its ranks noted, on one clock, with both ends of every message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from common.records.trace_buffer import ALSO, CLOCK, CUT, MESSAGES, RECEIVE, RECORD, SEND, STAGE, Records
from experiments.trace.clock_offsets import Floats, Offsets, estimate, least_delays

Ints = NDArray[np.int64]
_SEQ = 1 << 40  # more messages than any pair of ranks exchanges
SUFFIX = ".trace.npy"  # of a rank's trace file
_NAME = re.compile(r"(\d+)-(worker|server)" + re.escape(SUFFIX))


@dataclass(frozen=True, slots=True)
class RankTrace:
    """One rank's records in order, in times of its own `clock`. `cuts`: records CUT, before which some are missing."""

    rank: int
    role: str
    clock: int
    stages: Records
    messages: Records
    cuts: Records

    @property
    def name(self) -> str:
        """`worker 0`, `server 4`."""
        return f"{self.role} {self.rank}"


def rank_trace(rank: int, role: str, records: Records) -> RankTrace:
    """Return a rank's trace, given all its records; the first one names its clock."""
    kinds = records["kind"]
    messages = records[np.isin(kinds, MESSAGES)]
    messages = messages[int(np.argmax(np.append(messages["kind"] != ALSO, True))) :]  # drops the rest of a torn call
    clock = int(records["seq"][kinds == CLOCK][0])
    return RankTrace(rank, role, clock, records[kinds >= STAGE], messages, records[kinds == CUT])


def read_traces(folder: Path) -> list[RankTrace]:
    """Return the traces of a run, by rank. ConfigError if there are none, or one is damaged."""
    traces = []
    for file in (folder / "ranks").glob(f"*{SUFFIX}"):
        if match := _NAME.fullmatch(file.name):
            try:
                records = np.load(file, allow_pickle=False)
            except (ValueError, EOFError) as error:
                raise ConfigError(f"{file} is damaged: {error}") from None
            if getattr(records, "dtype", None) != RECORD or not (records["kind"] == CLOCK).any():
                raise ConfigError(f"{file} is damaged: it holds no records of a trace")
            traces.append(rank_trace(int(match[1]), match[2], records))
    if not traces:
        raise ConfigError(f"no trace in {folder}: record one with run --trace")
    return sorted(traces, key=lambda trace: trace.rank)


@dataclass(frozen=True)
class Timeline:
    """`traces` with times on one clock, in seconds. The messages of all traces are numbered through, trace by trace.

    messages   those of trace i have the numbers `starts[i]` to `starts[i + 1]`
    owner      of each message, the number of its trace
    partner    of each message, the number of its other end; -1 for a settle, and if no trace has the other end
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
    def received(self) -> Ints:
        """The numbers of the receives whose send is known."""
        return np.flatnonzero(np.isin(self.messages["kind"], (RECEIVE, ALSO)) & (self.partner >= 0))

    @cached_property
    def sent(self) -> Floats:
        """Of each receive, the end of its send, or its own if the send returned later; NaN for other messages."""
        moments = np.full(len(self.messages), np.nan)
        ended = self.messages["ended"]
        moments[self.received] = np.minimum(ended[self.partner[self.received]], ended[self.received])
        return moments

    @cached_property
    def window(self) -> tuple[float, float]:
        """The seconds between which all events are known: the whole run, or its end."""
        recorded = [records for trace in self.traces for records in (trace.stages, trace.messages) if len(records)]
        if not recorded:
            return 0.0, 0.0
        began = min(float(records["began"].min()) for records in recorded)
        ended = max(float(records["ended"].max()) for records in recorded)
        return max([began, *(float(moment) for trace in self.traces for moment in trace.cuts["began"])]), ended

    def call(self, first: int) -> range:
        """Return the numbers of the messages of one call of the endpoint, given the first of them."""
        end = first + 1
        while end < len(self.messages) and self.messages["kind"][end] == ALSO:
            end += 1
        return range(first, end)

    def sent_last(self, call: range) -> int:
        """Return the message of a call that was sent last."""
        return max(call, key=lambda index: (np.nan_to_num(self.sent[index], nan=-np.inf), index))


def timeline(traces: Sequence[RankTrace]) -> Timeline:
    """Merge the traces and correct their clocks."""
    clocks = list(dict.fromkeys(trace.clock for trace in traces))
    clock_of = np.array([clocks.index(trace.clock) for trace in traces])
    sizes = [len(trace.messages) for trace in traces]
    messages = np.concatenate([trace.messages for trace in traces])
    owner = np.repeat(np.arange(len(traces)), sizes)
    partner = _partners(messages, np.array([trace.rank for trace in traces])[owner])
    uncorrected = Timeline(traces, messages, np.cumsum([0, *sizes]), owner, partner, clocks)
    received = uncorrected.received
    sent = partner[received]
    delays = messages["ended"][received] - messages["began"][sent]
    senders, receivers = clock_of[owner[sent]], clock_of[owner[received]]
    offsets = estimate(least_delays(len(clocks), senders.tolist(), receivers.tolist(), delays))
    corrected = [_shifted(trace, -offsets.ahead[clock]) for trace, clock in zip(traces, clock_of, strict=True)]
    messages = np.concatenate([trace.messages for trace in corrected])
    return replace(uncorrected, traces=corrected, messages=messages, offsets=offsets)


def _partners(messages: Records, rank: Ints) -> Ints:
    """Pair the n-th message that a rank sent to another with the n-th that the other received from it."""
    partner = np.full(len(messages), -1)
    sent = np.flatnonzero(messages["kind"] == SEND)
    received = np.flatnonzero(np.isin(messages["kind"], (RECEIVE, ALSO)))
    peer, seq = messages["peer"].astype(np.int64), messages["seq"]
    ranks = int(max(rank.max(initial=0), peer.max(initial=0))) + 1
    sent_keys = (rank[sent] * ranks + peer[sent]) * _SEQ + seq[sent]
    received_keys = (peer[received] * ranks + rank[received]) * _SEQ + seq[received]
    _, ours, theirs = np.intersect1d(sent_keys, received_keys, assume_unique=True, return_indices=True)
    partner[sent[ours]], partner[received[theirs]] = received[theirs], sent[ours]
    return partner


def _shifted(trace: RankTrace, seconds: float) -> RankTrace:
    parts = {name: getattr(trace, name).copy() for name in ("stages", "messages", "cuts")}
    for records in parts.values():
        records["began"] += seconds
        records["ended"] += seconds
    return replace(trace, **parts)


def bytes_in_flight(began: NDArray[np.generic], ended: NDArray[np.generic], sizes: Ints) -> tuple[Floats, Ints]:
    """Return moments, ascending, and the bytes in flight from each moment on, for messages of these times and sizes."""
    times = np.concatenate([began, ended])
    order = np.argsort(times, kind="stable")
    return times[order], np.cumsum(np.concatenate([sizes, -sizes])[order])
