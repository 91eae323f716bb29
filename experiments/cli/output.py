"""Where a verb writes: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def say(text: object = "") -> None:
    """Write a line for people to standard error."""
    print(text, file=sys.stderr, flush=True)


def dump(value: object) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, indent=1, allow_nan=False))


def say_failed(failure: Any, *about: str) -> int:
    """Say why a run or a benchmark failed, with the traceback of the rank that raised if a rank did; return 1."""
    if failure.traceback:
        say(f"traceback of {failure.error.role} rank {failure.error.rank}:")
        say(failure.traceback.rstrip())
    for line in about:
        say(line)
    return 1


def console() -> Console:
    """Return standard output for tables, 120 columns wide if it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=120)
