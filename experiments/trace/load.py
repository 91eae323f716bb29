"""The records that the ranks of a run noted, read back from its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import ConfigError
from common.records.trace_buffer import ALSO, CLOCK, CUT, MESSAGES, RECORD, STAGE, Records

SUFFIX = ".trace.npy"  # of a rank's trace file
_NAME = re.compile(r"(\d+)-(worker|server)" + re.escape(SUFFIX))


@dataclass(frozen=True, slots=True)
class RankTrace:
    """One rank's records, in the order in which they were noted, with times on its own `clock`.

    `cuts` are the records CUT: earlier records are missing.
    """

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
