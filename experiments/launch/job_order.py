"""The order for a job: the file in which its ranks find what they are to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

FILE = "job.json"  # in the job's folder


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What every rank of a job must know."""

    job: dict[str, Any]  # what to do, as the entry module understands it
    workers: int  # worker ranks: the first ones
    servers: int
    placement: str  # of the servers
    id: int  # tells this job's messages and checkpoints from those of others
    results: str  # folder for results
    epoch: float  # seconds on the clock `time.perf_counter` from which results count time
    stay: bool = False  # ranks that are done wait for the agent's word: a server may come back and need them

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return self.workers + self.servers

    def write(self, home: Path) -> None:
        """Write the order into the job's folder."""
        (home / FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, home: Path) -> JobOrder:
        """Return the order in the job's folder."""
        return msgspec.json.decode((home / FILE).read_bytes(), type=cls)
