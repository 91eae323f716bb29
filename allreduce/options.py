"""What is checked about a strategy's own options: the command line passes on whatever YAML made of them."""

from __future__ import annotations


def at_least_one(name: str, value: object) -> None:
    """ValueError, one line, unless `value` is a whole number from 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}: give a whole number from 1")
