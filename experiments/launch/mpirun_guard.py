"""What mpirun starts for each rank: a small guardian, whose child is the rank.

mpirun tells nobody how a rank of its ended, and ends the others before they can say what they saw. So the guardian
tells the agent, and stays, as if nothing had happened, until the agent has asked mpirun to end the job, or is gone. If
mpirun is gone, it ends the rank.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from experiments.launch.mpirun import exit_path
from experiments.launch.processes import LOST

POLL = 0.1  # seconds between two looks at whether mpirun is still there


def main(entry: str, home: str, shared: str) -> int:
    """Run `main(home, rank)` of the module `entry` in a child; `shared` is removed afterwards."""
    mpirun, rank = os.getppid(), int(os.environ["OMPI_COMM_WORLD_RANK"])
    mouth = os.open(exit_path(Path(home), rank), os.O_WRONLY | os.O_NONBLOCK)  # fails if the agent is gone
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(mouth)
        os.close(writer)
        _be_rank(entry, home, rank, reader)
    os.close(reader)
    guardian = _Guardian(child, mpirun)
    code = guardian.wait()
    with contextlib.suppress(BrokenPipeError):
        os.write(mouth, str(code).encode())
    agent = select.poll()
    agent.register(mouth, 0)
    while code and not guardian.dismissed and not agent.poll(1000 * POLL):  # an error: nobody reads any more
        pass
    shutil.rmtree(shared, ignore_errors=True)
    return int(code != 0)


def _be_rank(entry: str, home: str, rank: int, reader: int) -> NoReturn:
    """Live the rank's life, and leave as the children of a fork server do: torch takes seconds to be torn down."""
    code = 1
    try:
        threading.Thread(target=_die_with, args=(reader,), name="guardian-guard", daemon=True).start()
        importlib.import_module(entry).main(home, rank)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with(reader: int) -> None:
    """End this rank when its guardian is gone, whose end of the pipe closes with it."""
    os.read(reader, 1)
    os._exit(1)


class _Guardian:
    """Waits for the rank, and ends it when mpirun asks for that or is gone."""

    def __init__(self, child: int, mpirun: int) -> None:
        self.dismissed = False
        self._child, self._mpirun = child, mpirun
        signal.signal(signal.SIGTERM, lambda which, frame: self._end())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self) -> int:
        """Its exit code; LOST if it had to be ended."""
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return LOST if self.dismissed else os.waitstatus_to_exitcode(status)

    def _watch(self) -> None:
        while os.getppid() == self._mpirun:
            time.sleep(POLL)
        self._end()

    def _end(self) -> None:
        self.dismissed = True
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
