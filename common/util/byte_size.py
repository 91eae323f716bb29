"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def byte_size(given: str | int) -> int:
    """Parse `4MiB`, `64KiB`, `1MB` or `4096` into bytes. ValueError for anything else."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", str(given).strip().lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"a size is a whole number and a unit, like 4MiB or 64KiB; not {given!r}")
    return int(match[1]) * UNITS[match[2]]
