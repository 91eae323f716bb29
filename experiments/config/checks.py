"""Checks of single values. All raise ConfigError, one line that names the option."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Any

from common.errors import ConfigError, suggest


def known(what: str, name: str, names: Collection[str]) -> None:
    """`name` is one of many."""
    if name not in names:
        raise ConfigError(f"unknown {what} {name!r}: {suggest(name, names)}")


def one_of(option: str, value: object, choices: Sequence[str]) -> None:
    """`value` is one of a few."""
    if value not in choices:
        raise ConfigError(f"--{option} is {value!r}: give {', '.join(choices[:-1])} or {choices[-1]}")


def at_least_one(option: str, value: int) -> None:
    """A count of something that there must be."""
    if value < 1:
        raise ConfigError(f"--{option} is {value}: give a whole number from 1")


def positive(option: str, value: float) -> None:
    """A finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"--{option} is {value:g}: give a number above 0")


def plain(option: str, value: Any) -> None:
    """What JSON can say."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigError(f"--{option}: {value} is neither number, text, truth value, list nor mapping") from None
