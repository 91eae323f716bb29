"""The trace buffer: records of messages and stages that a rank notes while it works. It keeps the latest ones.

A record is a tuple of numbers and costs well under a microsecond, so tracing hardly changes what it shows.
"""

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
        ("seq", "<i8"),  # number of a message among those from this sender to this receiver, from 0
        ("nbytes", "<i8"),
        ("began", "<f8"),  # seconds on the rank's clock
        ("ended", "<f8"),
    ]
)
Records = NDArray[np.void]
Row = tuple[int, int, int, int, int, int, float, float]
BEGAN = 6  # its index in a row

# Kinds of records. ALSO: a further message received by the same call as the RECEIVE before it.
SEND, RECEIVE, ALSO, SETTLE = MESSAGES = (1, 2, 3, 4)
CUT = 5  # records from before `began` may be missing
CLOCK = 6  # `seq` is the number of the clock that the rank reads: see `clock_id`
STAGE = 16  # the first stage; the others follow in order
STAGE_KINDS = {stage: STAGE + number for number, stage in enumerate(STAGES)}

VIRTUAL_CLOCK = 0  # number of the clock of virtual time


class TraceBuffer:
    """Keeps the latest `limit` records. `note` appends one, a tuple in the order of RECORD."""

    def __init__(self, limit: int) -> None:
        self._rows: deque[Row] = deque(maxlen=limit)
        self.note: Callable[[Row], None] = self._rows.append  # not a method: every message pays for it

    def records(self) -> Records:
        """Return the kept records in order. If the buffer is full, a record CUT comes first."""
        rows = list(self._rows)
        if len(rows) == self._rows.maxlen:
            rows.insert(0, (CUT, -1, 0, 0, 0, 0, rows[0][BEGAN], rows[0][BEGAN]))
        return np.array(rows, RECORD)


def clock_record(clock: int) -> Records:
    """Return the record with the number of the clock that a rank reads."""
    record = np.zeros(1, RECORD)
    record["kind"], record["peer"], record["seq"] = CLOCK, -1, clock
    return record


def clock_id() -> int:
    """Return a number for the clock of `time.perf_counter`: equal for two processes exactly if their times compare.

    On Linux the clock is CLOCK_MONOTONIC, which counts from boot in each time namespace.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/time")
    except OSError:
        name = platform.node()
    return 1 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
