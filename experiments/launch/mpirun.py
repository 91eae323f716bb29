"""Start the workers of a job with one `mpirun`, and tell the agent how each of them ended."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.launch.job_folder import make_shared
from experiments.launch.processes import LOST, RankProcess


def under_mpirun(entry: str, home: Path, ranks: int) -> Iterator[RankProcess]:
    """Start the ranks with one `mpirun`, on this machine; each calls `main(home, rank)` of the module `entry`.

    Files of `mpirun` go into `home`, but the memory that the ranks share goes into /dev/shm; the ranks remove it.
    A fifo tells the end of each rank, so that nothing depends on mpirun's report. For its control messages mpirun
    listens on all interfaces, and has no option against that (open-mpi/ompi#14441).
    """
    for rank in range(ranks):
        os.mkfifo(exit_path(home, rank), 0o600)
    with contextlib.ExitStack() as undo:
        fifos = []
        for rank in range(ranks):
            fifos.append(os.open(exit_path(home, rank), os.O_RDONLY | os.O_NONBLOCK))
            undo.callback(os.close, fifos[rank])
        launcher = MpiRun(entry, home, ranks)
        undo.pop_all()
    for fifo in fifos:
        yield MpiRank(launcher, fifo)


def exit_path(home: Path, rank: int) -> Path:
    """Return the fifo that gets a rank's exit code; its writer holds it open for as long as the rank lives."""
    return home / f"exit-{rank}"


class MpiRun:
    """The `mpirun` of a job."""

    def __init__(self, entry: str, home: Path, ranks: int) -> None:
        self._shared = str(make_shared(home))
        parameters = {
            "btl": "self,vader",  # shared memory
            "pml": "ob1",
            "mpi_yield_when_idle": "1",  # a rank waits by spinning, also on cores that another rank needs
            "plm": "isolated",  # this machine, even inside of a batch job
            "orte_tmpdir_base": str(home),
            "btl_vader_backing_directory": self._shared,
        }
        command = ["mpirun", "--quiet", "--oversubscribe", "--bind-to", "none", "--host", f"localhost:{ranks}"]
        command += [word for name, value in parameters.items() for word in ("--mca", name, value)]
        command += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        command += ["-n", str(ranks), sys.executable, "-m", "experiments.launch.mpirun_guard", entry, str(home)]
        command += [self._shared]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)
        except BaseException:
            self._remove_shared()
            raise

    def stop(self) -> None:
        """Wait for mpirun's end, or bring it about. Blocks for two seconds at most."""
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(number)  # 0 is no signal
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
                break
        self._remove_shared()

    def _remove_shared(self) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)


class MpiRank:
    """A rank under `mpirun`. To end one of them, the agent must end mpirun, and so all of them."""

    def __init__(self, launcher: MpiRun, sentinel: int) -> None:
        self.sentinel = sentinel
        self._launcher = launcher
        self._started = False
        self._exitcode: int | None = None

    @property
    def exitcode(self) -> int | None:
        if self._exitcode is None:
            written = self._read()
            if written:
                self._exitcode = int(written)
            elif written is not None and self._started:
                self._exitcode = -signal.SIGKILL  # its guardian answers every other signal, and wrote nothing
            elif written is not None and (code := self._launcher.process.poll()) is not None:
                self._exitcode = code if code > 0 else LOST  # the rank never started
        return self._exitcode

    def _read(self) -> bytes | None:
        """Read the rank's fifo. None: a writer is there and has written nothing; empty: no writer."""
        try:
            return os.read(self.sentinel, 16)
        except BlockingIOError:
            self._started = True
            return None

    def terminate(self) -> None:
        self._launcher.process.terminate()

    def kill(self) -> None:
        self._launcher.process.kill()  # the ranks' guardians notice it and end them

    def join(self, timeout: float | None = None) -> None:
        if self.sentinel < 0:
            return
        self._launcher.stop()
        end = time.monotonic() + (timeout or 0.0)
        while self.exitcode is None or self._read() is None:
            if time.monotonic() > end:
                return
            select.select([self.sentinel], [], [], 0.05)
        os.close(self.sentinel)
        self.sentinel = -1
