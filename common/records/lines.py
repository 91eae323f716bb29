"""Files of one JSON object a line, whose writer may have been killed in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def whole_lines(file: Path) -> Iterator[bytes]:
    """The lines of `file`, each with its newline; a last one that has none was cut short and is left out.

    OSError, if the file is not there for example.
    """
    with open(file, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield line
