"""Result folders, and the JSON in them: written whole or not at all, read or refused in one line."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON atomically."""
    part = path.with_suffix(".part")
    try:
        with open(part, "w") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in this file, NaN read as null. ConfigError, one line, if it holds something else; OSError."""
    try:
        found = json.loads(path.read_bytes(), parse_constant=lambda name: None)  # NaN is no figure, and no JSON either
    except ValueError as error:  # of JSON or of UTF-8
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} does not hold a JSON object")
    return found
