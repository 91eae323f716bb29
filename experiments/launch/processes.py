"""How the agent starts the ranks of a job: forked from a server that has torch loaded, or under `mpirun`.

Either way the agent gets one `RankProcess` a rank, starts the next only when it has the one before in hand, and ends
them by the same calls.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal, Protocol

Launcher = Literal["fork", "mpi", "together"]  # together: all ranks of a job in one process
LOST = 255  # exit code of a rank whose launcher is gone: multiprocessing's choice


class RankProcess(Protocol):
    """What the agent needs of a rank's process: a part of `multiprocessing.Process`."""

    @property
    def exitcode(self) -> int | None:
        """None while it is there; negative: killed by that signal."""

    @property
    def sentinel(self) -> int:
        """A file descriptor that becomes readable when it ends."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until nothing is left of it, `timeout` seconds at most."""


def forked(context: ForkServerContext, entry: str, home: Path, ranks: Iterable[int]) -> Iterator[RankProcess]:
    """Start these ranks as forks of `context`'s server; each calls `main(home, rank)` of the module `entry`."""
    for rank in ranks:
        process = context.Process(target=_enter, args=(entry, str(home), rank), name=f"rank-{rank}", daemon=True)
        process.start()
        yield process


def _enter(entry: str, home: str, rank: int) -> None:
    importlib.import_module(entry).main(home, rank)  # torch: only in the ranks
