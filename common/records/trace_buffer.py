"""What a rank notes for a trace while it works: tuples of numbers, of which the latest are kept.

A record costs well under a microsecond, so that tracing hardly changes what it shows.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.records.stage_clock import STAGES

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
Row = tuple[int, int, int, int, int, int, float, float]
BEGAN = 6  # where in a row

# Kinds of records. ALSO: one more message that the same call received as the RECEIVE before it.
SEND, RECEIVE, ALSO, SETTLE = MESSAGES = (1, 2, 3, 4)
CUT = 5  # what came before `began` may be missing
CLOCK = 6  # `seq` tells which clock the rank reads
STAGE = 16  # and the following: the stages in their order
STAGE_KINDS = {stage: STAGE + number for number, stage in enumerate(STAGES)}

VIRTUAL_CLOCK = 0  # the clock that all ranks of virtual time read


class TraceBuffer:
    """Takes records; keeps the latest `limit` of them. `note` appends one, a tuple in the order of RECORD."""

    def __init__(self, limit: int) -> None:
        self._rows: deque[Row] = deque(maxlen=limit)
        self.note: Callable[[Row], None] = self._rows.append  # nothing in between: it is in the path of every message

    def records(self) -> Records:
        """What is kept, in order; if the buffer is full, a record CUT comes first."""
        rows = list(self._rows)
        if len(rows) == self._rows.maxlen:
            rows.insert(0, (CUT, -1, 0, 0, 0, 0, rows[0][BEGAN], rows[0][BEGAN]))
        return np.array(rows, RECORD)


def clock_record(clock: int) -> Records:
    """The record that says which clock a rank reads: see `this_clock`."""
    record = np.zeros(1, RECORD)
    record["kind"], record["peer"], record["seq"] = CLOCK, -1, clock
    return record


def clock_id() -> int:
    """A number for the clock that `time.perf_counter` reads here: equal where, and only where, times can be compared.

    On Linux that is CLOCK_MONOTONIC: one for all processes since the machine has booted, but for time namespaces.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/time")
    except OSError:
        name = platform.node()
    return 1 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
