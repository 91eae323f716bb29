"""Read and check single values of options.

A check gets the option's name, as the user wrote it (`--workers`, or `mine.yaml: workers`), and the value. It raises
ConfigError, one line that says what is wrong and what would be right.
"""

import contextlib
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from common.errors import ConfigError, suggest

Check = Callable[[str, Any], None]


def rule(right: str, fits: Callable[[Any], bool]) -> Check:
    """Make a check that a value `fits`; `right` says which values do."""

    def check(name: str, value: Any) -> None:
        if not fits(value):
            shown = f"{value:g}" if isinstance(value, float) else repr(value)
            raise ConfigError(f"{name} is {shown}: give {right}")

    return check


def at_least(least: int, most: float = math.inf) -> Check:
    """Make a check that a whole number is at least `least`, and at most `most`."""
    upto = "" if most == math.inf else f" to {most}"
    return rule(f"a whole number from {least}{upto}", lambda value: least <= value <= most)


positive = rule("a number above 0", lambda value: 0 < value < math.inf)
not_negative = rule("a number from 0", lambda value: 0 <= value < math.inf)


def one_of(*choices: str) -> Check:
    """Make a check that the value is one of `choices`."""

    def check(name: str, value: Any) -> None:
        if value not in choices:
            hint = suggest(str(value), choices)
            right = hint if hint.startswith("did you mean") else f"give {', '.join(choices[:-1])} or {choices[-1]}"
            raise ConfigError(f"{name} is {value!r}: {right}")

    return check


def understood(read: Callable[[str], object]) -> Check:
    """Make a check that `read` understands a text; it raises ValueError if it does not."""

    def check(name: str, value: str) -> None:
        try:
            read(value)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None

    return check


def plain(name: str, value: Any) -> None:
    """Check that JSON can hold a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}: {value} is neither number, text, truth value, list nor mapping") from None


def sizes(given: str | int | Sequence[int]) -> tuple[int, ...]:
    """Read `256,128` (or a list, or one number) as layer sizes. ValueError if it is something else."""
    text = str(given).strip("[](), ")
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*", text):
        raise ValueError(f"layer sizes are whole numbers with commas, like 256,128; not {given!r}")
    return tuple(int(part) for part in text.split(","))


def counts(given: str | int | Sequence[int]) -> tuple[int, ...]:
    """Read `2,4,8` as whole numbers from 1, ascending, each once. ValueError if it is something else."""
    with contextlib.suppress(ValueError):
        if min(found := sizes(given)) >= 1:
            return tuple(sorted(set(found)))
    raise ValueError(f"give whole numbers from 1, with commas between them, not {str(given)!r}")


def names(given: Any) -> tuple[str, ...]:
    """Read `ring,tree`, or a list of names, as names, each once. ValueError if it holds none."""
    found = tuple(dict.fromkeys(name for part in joined(given).split(",") if (name := part.strip())))
    if not found:
        raise ValueError("give at least one, with commas between them")
    return found


def on_off(given: Any) -> str:
    """Read `on`, `off` or another text. YAML reads on and off without quotes as true and false."""
    return ("on" if given else "off") if isinstance(given, bool) else str(given)


def joined(given: Any) -> str:
    """Read a text, or a list of texts from a YAML file, as one text with commas."""
    return ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given)
