"""Start ranks as forks of a server process that has torch loaded."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal, Protocol

Launcher = Literal["fork", "mpi", "together"]  # together: one process runs all ranks of a job
LOST = 255  # exit code of a rank whose launcher was killed; multiprocessing uses the same number
VANISHED = 254  # exit code of a rank under mpirun that told no exit code


class RankProcess(Protocol):
    """The part of `multiprocessing.Process` that the agent uses."""

    @property
    def exitcode(self) -> int | None:
        """None while the process runs; a negative number is the signal that killed it."""

    @property
    def sentinel(self) -> int:
        """A file descriptor that becomes readable when the process ends."""

    def terminate(self) -> None:
        """Ask the process to end."""

    def kill(self) -> None:
        """Kill the process."""

    def join(self, timeout: float | None = None) -> None:
        """Block until nothing is left of the process, or `timeout` seconds have passed."""


def forked(context: ForkServerContext, entry: str, home: Path, ranks: Iterable[int]) -> Iterator[RankProcess]:
    """Start these ranks, one after the other; each calls `main(home, rank)` of the module `entry`."""
    for rank in ranks:
        process = context.Process(target=_enter, args=(entry, str(home), rank), name=f"rank-{rank}", daemon=True)
        process.start()
        yield process


def _enter(entry: str, home: str, rank: int) -> None:
    importlib.import_module(entry).main(home, rank)  # only a rank may import torch, not the agent
