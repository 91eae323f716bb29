"""Step records, written as they happen: one JSON object a line, readable whatever happens to the writer next."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Recorder:
    """Appends rows to a new file; refuses to touch an existing one (FileExistsError).

    Each row reaches the operating system before `write` returns, in one call, so a killed process leaves whole lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row. OSError if it could not be written whole (a full disk)."""
        line = (json.dumps(row, separators=(",", ":")) + "\n").encode()
        if os.write(self._fd, line) != len(line):
            raise OSError(f"{self.path}: no room for a whole row; is the disk full?")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
