"""The cells of a sweep that failed and left no run behind, so that they are not lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from common.errors import ConfigError


def lost_cells(paths: Iterable[str | Path]) -> list[str]:
    """A line for each failed cell of the sweeps in `paths` that has no finished run folder. Raises ConfigError."""
    lines = []
    for file in [Path(path) / "cells.jsonl" for path in paths]:
        for number, line in enumerate(file.read_bytes().splitlines(keepends=True) if file.is_file() else [], 1):
            if not line.endswith(b"\n"):
                break  # the sweep was killed while it wrote
            try:
                cell = json.loads(line)
                name, lost = cell["cell"], cell["status"] != "ok"
            except (ValueError, KeyError, TypeError):
                raise ConfigError(f"{file}, line {number}: not the record of a cell") from None
            folder = cell.get("folder")
            if lost and not (isinstance(folder, str) and folder and (file.parent / folder / "summary.json").is_file()):
                error = " ".join(str(cell.get("error") or "no reason recorded").split())
                lines.append(f"cell {name} failed without a run: {error}")
    return lines
