"""Result folders, and the JSON in them: written whole or not at all, read or refused in one line."""

from __future__ import annotations

import os
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from common.errors import ConfigError


def new_folder(parent: Path, name: str) -> Path:
    """A folder `<UTC time>-<name>-<short id>` that was not there before."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = parent / f"{stamp}-{name}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    return folder


_ADVICE = "; give another "


def writable_folder(path: str | os.PathLike[str] | None, option: str = "--results") -> Path:
    """The folder that `option` names, made if it is not there. ConfigError if nothing can be written into it."""
    if not path:
        raise ConfigError(f"{option} is empty: give a folder")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"syncbench")
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error, option) from None
    return folder


def unwritable(folder: Path, error: OSError, option: str = "--results") -> ConfigError:
    """The error that says why results cannot be written to `folder`, which `option` names, in one line."""
    reason = (error.strerror or str(error)).lower()
    return ConfigError(f"results cannot be written to {folder}: {reason}{_ADVICE}{option} folder")


def without_advice(error: Exception) -> str:
    """What `error` says, without the advice of `unwritable`: for whoever is bound to the folder that there is."""
    return str(error).partition(_ADVICE)[0]
