"""Private folders among the temporary files: of a process that was killed, the next one to make one removes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.errors import ConfigError
from experiments.launch.processes import remove_private

PREFIX = "syncbench-"
LOCK = "agent.lock"


def claim(folder: Path) -> int:
    """Hold the lock of `folder`, which says that its owner lives, until what this returns is closed. OSError."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "lock").rename(folder / LOCK)  # held before anybody finds it: see `sweep`
    return lock


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for as long as this process is in here, and which `life.die_with_the_agent` can watch. ConfigError."""
    with contextlib.ExitStack() as undo:
        try:
            sweep()
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            undo.callback(remove_private, folder)
            undo.callback(os.close, claim(folder))
        except OSError as error:
            raise cannot_be_set_up(error) from None
        yield folder


def cannot_be_set_up(error: OSError) -> ConfigError:
    """The error that says why there is no private folder, in one line."""
    reason = error.strerror or error
    return ConfigError(f"temporary files cannot be set up: {reason}; set TMPDIR to another folder")


def sweep() -> None:
    """Remove what was left behind by who was killed: folders of ours whose lock nobody holds, and what they name."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with open(folder / LOCK) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_private(folder)
