"""How the agent starts the ranks of a job: forked from a server that has torch loaded, or under `mpirun`.

Either way the agent gets one `RankProcess` a rank, starts the next only when it has the one before in hand, and ends
them by the same calls.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal, Protocol

Launcher = Literal["fork", "mpi", "together"]  # together: all ranks of a job in one process
LOST = 255  # exit code of a rank whose launcher is gone: multiprocessing's choice
SHARED_MEMORY = Path("/dev/shm")
SHARED_PREFIX = "syncbench-mpi-"
SHARED_NOTE = "shared-memory"  # in a job's folder: the path of what it has in SHARED_MEMORY


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


def under_mpirun(entry: str, home: Path, ranks: int) -> Iterator[RankProcess]:
    """Start the ranks with one `mpirun`, on this machine; each calls `main(home, rank)` of the module `entry`.

    What `mpirun` puts into the file system goes into `home`, but for the shared memory between the ranks, which
    they remove. A rank's end is told through a fifo, so that nothing depends on how mpirun reports it. For its control
    messages mpirun listens on all interfaces, and has no option against that (open-mpi/ompi#14441).
    """
    for rank in range(ranks):
        os.mkfifo(exit_path(home, rank), 0o600)
    with contextlib.ExitStack() as undo:
        ears = []
        for rank in range(ranks):
            ears.append(os.open(exit_path(home, rank), os.O_RDONLY | os.O_NONBLOCK))
            undo.callback(os.close, ears[rank])
        launcher = _MpiRun(entry, home, ranks)
        undo.pop_all()
    for ear in ears:
        yield MpiRank(launcher, ear)


def exit_path(home: Path, rank: int) -> Path:
    """The fifo into which a rank's exit code is written; its writer holds it open for as long as it lives."""
    return home / f"exit-{rank}"


def remove_private(folder: Path) -> None:
    """Remove an agent's private folder, and first what its jobs have in shared memory. The agent must be gone.

    Only what a note in that very folder names is touched, so nothing of another agent.
    """
    with contextlib.suppress(OSError):  # ranks of the same agent may be at it too
        for note in list(folder.glob(f"*/{SHARED_NOTE}")):
            shared = Path(note.read_text())
            if shared.parent == SHARED_MEMORY and shared.name.startswith(SHARED_PREFIX):
                shutil.rmtree(shared, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


class _MpiRun:
    """The `mpirun` of a job."""

    def __init__(self, entry: str, home: Path, ranks: int) -> None:
        base = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else home  # in RAM: home may be on a disk
        self._shared = str(base / f"{SHARED_PREFIX}{secrets.token_hex(8)}")
        (home / SHARED_NOTE).write_text(self._shared)  # before it is there: see `remove_private`
        os.mkdir(self._shared, 0o700)
        parameters = {
            "btl": "self,vader",  # shared memory
            "pml": "ob1",
            "mpi_yield_when_idle": "1",  # it waits by spinning, also on cores that another rank needs
            "plm": "isolated",  # this machine, even inside of a batch job
            "orte_tmpdir_base": str(home),
            "btl_vader_backing_directory": self._shared,
        }
        command = ["mpirun", "--quiet", "--oversubscribe", "--bind-to", "none", "--host", f"localhost:{ranks}"]
        command += [word for name, value in parameters.items() for word in ("--mca", name, value)]
        command += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        command += [
            "-n",
            str(ranks),
            sys.executable,
            "-m",
            "experiments.launch.mpirun_guard",
            entry,
            str(home),
            self._shared,
        ]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)
        except BaseException:
            self._tidy()
            raise

    def stop(self) -> None:
        """Wait for its end, or bring it about: within two seconds."""
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(number)  # 0 is none
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
                break
        self._tidy()

    def _tidy(self) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)


class MpiRank:
    """A rank under `mpirun`. Asking it to end means asking mpirun, and so all of them."""

    def __init__(self, launcher: _MpiRun, sentinel: int) -> None:
        self.sentinel = sentinel
        self._launcher = launcher
        self._started = False
        self._exitcode: int | None = None

    @property
    def exitcode(self) -> int | None:
        if self._exitcode is None:
            said = self._hear()
            if said:
                self._exitcode = int(said)
            elif said is not None and self._started:
                self._exitcode = -signal.SIGKILL  # its guardian had no time for a word, and answers all other signals
            elif said is not None and (code := self._launcher.process.poll()) is not None:
                self._exitcode = code if code > 0 else LOST  # it never started
        return self._exitcode

    def _hear(self) -> bytes | None:
        """What the rank's end of the fifo says; None: nothing yet; empty: nobody is there."""
        try:
            return os.read(self.sentinel, 16)
        except BlockingIOError:
            self._started = True
            return None

    def terminate(self) -> None:
        self._launcher.process.terminate()

    def kill(self) -> None:
        self._launcher.process.kill()  # the ranks' guardians see that and end them

    def join(self, timeout: float | None = None) -> None:
        if self.sentinel < 0:
            return
        self._launcher.stop()
        end = time.monotonic() + (timeout or 0.0)
        while self.exitcode is None or self._hear() is None:
            if time.monotonic() > end:
                return
            select.select([self.sentinel], [], [], 0.05)
        os.close(self.sentinel)
        self.sentinel = -1
