"""Checks of a strategy's own options: the command line passes on whatever values YAML gave it."""

from __future__ import annotations

from common.errors import ConfigError


def whole_number(option: str, value: object, least: int = 1) -> int:
    """Return `value` if it is a whole number from `least`; otherwise ConfigError, one line."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{option} is {value!r}: give a whole number from {least}")
    return value
