"""What a rank notes for a trace while it works: records of one size, packed into memory that is there from the start.

A record has 48 bytes and costs less than a microsecond, so that tracing hardly changes what it shows. A tape that is
full keeps its first half, and of the rest the latest: how a run begins, and how it ends.
"""

from __future__ import annotations

import hashlib
import os
import platform
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.stages import STAGES

RECORD = np.dtype(
    [
        ("kind", "<i2"),
        ("peer", "<i2"),
        ("bucket", "<i4"),
        ("step", "<i8"),
        ("seq", "<i8"),  # of a message: its number among those from this sender to this receiver, from 0
        ("nbytes", "<i8"),
        ("began", "<f8"),  # seconds on the rank's clock
        ("ended", "<f8"),
    ]
)
Records = NDArray[np.void]

# Kinds of records. ALSO: one more message that the same call received as the RECEIVE before it.
SEND, RECEIVE, ALSO, SETTLE = MESSAGES = (1, 2, 3, 4)
CUT = 5  # here `seq` records are missing, between `began` and `ended`
CLOCK = 6  # `seq` tells which clock the rank reads
STAGE = 16  # and the following: the stages in their order
STAGE_KINDS = {stage: STAGE + number for number, stage in enumerate(STAGES)}

_RECORD = struct.Struct("<hhiqqqdd")
_SIZE = _RECORD.size
_PACK = _RECORD.pack_into
VIRTUAL = 0  # the clock that all ranks of virtual time read


class Tape:
    """Takes `limit` records; of more, the first half of it and the latest. For one thread at a time."""

    def __init__(self, limit: int) -> None:
        """ValueError for less than two records."""
        if limit < 2:
            raise ValueError(f"a tape for {limit} records: it takes two at least")
        self._memory = bytearray(limit * _SIZE)
        self._head = limit // 2 * _SIZE
        self._end = limit * _SIZE
        self._at = 0
        self._laps = 0

    def note(
        self, kind: int, peer: int, bucket: int, step: int, seq: int, nbytes: int, began: float, ended: float
    ) -> None:
        """Add a record."""
        at = self._at
        if at == self._end:
            at = self._head
            self._laps += 1
        _PACK(self._memory, at, kind, peer, bucket, step, seq, nbytes, began, ended)
        self._at = at + _SIZE

    def records(self) -> Records:
        """What is kept, in order; where something is missing, a record CUT."""
        if not self._laps:
            return np.frombuffer(bytes(self._memory[: self._at]), RECORD)
        head = np.frombuffer(bytes(self._memory[: self._head]), RECORD)
        tail = np.frombuffer(bytes(self._memory[self._at :] + self._memory[self._head : self._at]), RECORD)
        lost = (self._laps - 1) * (len(tail)) + (self._at - self._head) // _SIZE
        cut = np.zeros(1, RECORD)
        cut["kind"], cut["peer"], cut["seq"] = CUT, -1, lost
        cut["began"], cut["ended"] = head["ended"][-1], tail["began"][0]
        return np.concatenate([head, cut, tail])


def clock_record(clock: int) -> Records:
    """The record that says which clock a rank reads: see `this_clock`."""
    record = np.zeros(1, RECORD)
    record["kind"], record["peer"], record["seq"] = CLOCK, -1, clock
    return record


def this_clock() -> int:
    """A number for the clock that `time.perf_counter` reads here: equal where, and only where, times can be compared.

    On Linux that is CLOCK_MONOTONIC: one for all processes since the machine has booted, but for time namespaces.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/time")
    except OSError:
        name = platform.node()
    return 1 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
