"""Start the workers of a job with one `mpirun`, and tell the agent how each of them ended.

mpirun does not say which rank ended first. So each rank tells its exit code through a fifo that it holds open while it
lives. It ignores SIGTERM, which mpirun sends to all ranks once one has died, to report before mpirun kills it. A rank
that has failed stays until the agent has asked mpirun to end the job. A rank ends when mpirun is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn, TypeAlias

from experiments.launch.job_folder import make_shared

LOST = 255  # exit code of a rank whose launcher was killed; multiprocessing uses the same number
VANISHED = 254  # exit code of a rank under mpirun that told no exit code
POLL = 0.1  # seconds between two looks of a rank for its mpirun


def under_mpirun(entry: str, home: Path, ranks: int) -> Iterator[RankProcess]:
    """Start the ranks with one local `mpirun`; each calls `main(home, rank)` of the module `entry`.

    For its control messages mpirun listens on all interfaces, and has no option against that (open-mpi/ompi#14441).
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
    """Return the fifo into which a rank writes its exit code."""
    return home / f"exit-{rank}"


class MpiRun:
    """The `mpirun` of a job."""

    def __init__(self, entry: str, home: Path, ranks: int) -> None:
        self._shared, self._asked = make_shared(home), False
        parameters = {
            "btl": "self,vader",  # shared memory
            "pml": "ob1",
            "mpi_yield_when_idle": "1",  # a rank waits by spinning, also on cores that another rank needs
            "plm": "isolated",  # this machine, even inside of a batch job
            "orte_tmpdir_base": str(home),
            "btl_vader_backing_directory": str(self._shared),
        }
        command = ["mpirun", "--quiet", "--oversubscribe", "--bind-to", "none", "--host", f"localhost:{ranks}"]
        command += [word for name, value in parameters.items() for word in ("--mca", name, value)]
        command += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        command += ["-n", str(ranks), sys.executable, "-m", "experiments.launch.mpirun", entry, str(home)]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)
        except BaseException:
            self._remove_shared()
            raise

    def terminate(self) -> None:
        """Ask mpirun to end the job, once: it may crash on a second SIGTERM while it ends."""
        if not self._asked:
            self._asked = True
            self.process.terminate()

    def stop(self) -> None:
        """Wait for mpirun's end, or bring it about. Blocks for two seconds at most."""
        for act in (self.process.poll, self.terminate, self.process.kill):
            act()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
                break
        self._remove_shared()

    def _remove_shared(self) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)


class MpiRank:
    """A rank under `mpirun`, as much of a `multiprocessing.Process` as the agent uses. Ending one ends all."""

    def __init__(self, launcher: MpiRun, sentinel: int) -> None:
        self._launcher, self.sentinel = launcher, sentinel  # the rank's fifo: it becomes readable when the rank ends
        self._started = False
        self._exitcode: int | None = None

    @property
    def exitcode(self) -> int | None:
        if self._exitcode is None and (written := self._read()) is not None:
            if written:
                self._exitcode = int(written)
            elif self._started:
                self._exitcode = VANISHED
            elif (code := self._launcher.process.poll()) is not None:
                self._exitcode = code if code > 0 else LOST  # the rank never started
        return self._exitcode

    def _read(self) -> bytes | None:
        """Read the rank's fifo. None: the rank holds it open and has written nothing; empty: nobody holds it."""
        try:
            return os.read(self.sentinel, 16)
        except BlockingIOError:
            self._started = True
            return None

    def terminate(self) -> None:
        self._launcher.terminate()

    def kill(self) -> None:
        self._launcher.process.kill()  # the ranks notice it and end

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


RankProcess: TypeAlias = BaseProcess | MpiRank


def main(entry: str, home: str) -> NoReturn:
    """Be a rank: call `main(home, rank)` of the module `entry`, tell the exit code, and end."""
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    fifo = os.open(exit_path(Path(home), rank), os.O_WRONLY | os.O_NONBLOCK)  # OSError if the agent is gone
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(), fifo), name="mpirun-guard", daemon=True).start()
    code = 1
    try:
        importlib.import_module(entry).main(home, rank)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _tell(fifo, code)
        if code:
            agent = select.poll()
            agent.register(fifo, 0)
            agent.poll()  # blocks until nobody reads the fifo any more
        os._exit(code)  # like the children of a fork server: Python takes seconds to tear torch down


def _tell(fifo: int, code: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(fifo, str(code).encode())


def _end_with(mpirun: int, fifo: int) -> None:
    """End this rank when its parent, mpirun, is gone."""
    while os.getppid() == mpirun:
        time.sleep(POLL)
    _tell(fifo, LOST)
    os._exit(LOST)


if __name__ == "__main__":
    main(*sys.argv[1:])
