"""Short pieces of English that several sentences share."""

from collections.abc import Sequence


def listed(words: Sequence[str], last: str = " and") -> str:
    """Return the words as a list: `a`, `a and b`, `a, b and c`."""
    return f"{last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def plural(count: int, what: str) -> str:
    """Return the count with its noun: `1 worker`, `2 workers`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def turns(count: int) -> str:
    """Return how often a measurement is made: `once`, `5 times in turns`."""
    return "once" if count == 1 else f"{count} times in turns"
