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


def say_traceback(failure: Any) -> None:
    """Say where the rank raised whose error ended a run or a benchmark, if a rank did."""
    if failure.traceback:
        say(f"traceback of {failure.error.role} rank {failure.error.rank}:")
        say(failure.traceback.rstrip())


def console() -> Console:
    """Return standard output for tables, 120 columns wide if it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=120)
