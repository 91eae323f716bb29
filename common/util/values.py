"""Values of options as people write them: sizes in bytes, and whole numbers of a strategy's own options."""

import re

from common.errors import ConfigError

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def byte_size(given: str | int) -> int:
    """Parse `4MiB`, `64KiB`, `1MB` or `4096` into bytes. ValueError for anything else."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", str(given).strip().lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"a size is a whole number and a unit, like 4MiB or 64KiB; not {given!r}")
    return int(match[1]) * UNITS[match[2]]


def whole_number(option: str, value: object, least: int = 1) -> int:
    """Return `value`, which YAML gave, if it is a whole number from `least`; otherwise ConfigError, one line."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{option} is {value!r}: give a whole number from {least}")
    return value
