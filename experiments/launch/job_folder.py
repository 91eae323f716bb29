"""An agent's private folder among the temporary files.

The owner of a folder holds the lock of a file in it, which the system frees when the owner ends. A free lock means an
abandoned folder: the owner's ranks remove it, or the next process that makes such a folder.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.errors import ConfigError

PREFIX, LOCK = "syncbench-", "agent.lock"
SHARED_MEMORY = Path("/dev/shm")
SHARED_PREFIX = "syncbench-mpi-"
SHARED_NOTE = "shared-memory"  # a file in a job's folder: the path of the job's folder in SHARED_MEMORY


def claim(folder: Path) -> int:
    """Hold the lock of `folder` until the returned file descriptor is closed. Raises OSError."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "lock").rename(folder / LOCK)  # `sweep` finds it only now, when it is held
    except BaseException:
        os.close(lock)
        raise
    return lock


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder that lives as long as this context, for children that `die_with_the_agent`. Raises ConfigError."""
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
    """Return the one-line error for a private folder that cannot be made."""
    return ConfigError(f"temporary files cannot be set up: {error.strerror or error}; set TMPDIR to another folder")


def sweep() -> None:
    """Remove the abandoned folders of this user, and the shared memory that they name."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with open(folder / LOCK) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_private(folder)


def make_shared(home: Path) -> Path:
    """Make a job's folder in shared memory, or in its folder `home` where shared memory cannot be written.

    A note in `home` names it before it exists, so that `remove_private` finds it whenever this process ends.
    """
    base = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else home
    shared = base / f"{SHARED_PREFIX}{secrets.token_hex(8)}"
    (home / SHARED_NOTE).write_text(str(shared))
    shared.mkdir(mode=0o700)
    return shared


def remove_private(folder: Path) -> None:
    """Remove a private folder whose owner has ended, and first the shared memory that its notes name."""
    with contextlib.suppress(OSError):  # other ranks of the same agent may remove it at the same time
        for note in list(folder.glob(f"*/{SHARED_NOTE}")):
            shared = Path(note.read_text())
            if shared.parent == SHARED_MEMORY and shared.name.startswith(SHARED_PREFIX):
                shutil.rmtree(shared, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
