"""Make the folders that results are written to."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from common.errors import ConfigError


def new_folder(parent: Path, name: str) -> Path:
    """Make and return a new folder `<UTC time>-<name>-<short id>`."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = parent / f"{stamp}-{name}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    return folder


def writable_folder(path: str | os.PathLike[str] | None, option: str = "--results") -> Path:
    """Return the folder that `option` names, made if missing. ConfigError as in `writing`."""
    if not path:
        raise ConfigError(f"{option} is empty: give a folder")
    folder = Path(path)
    with writing(folder, option):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"syncbench")
            probe.flush()
    return folder


@contextlib.contextmanager
def writing(folder: Path, option: str = "--results") -> Iterator[None]:
    """Turn an OSError of the body into a ConfigError: write to another folder by `option`, unless that is empty."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        advice = f"; give another {option} folder" if option else ""
        raise ConfigError(f"results cannot be written to {folder}: {reason}{advice}") from None
