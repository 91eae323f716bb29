"""Where a verb speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(text: object = "") -> None:
    """A line for people, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def dump(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, allow_nan=False))


def say_traceback(failure: Any) -> None:
    """Say where the rank raised whose error ended a run or a benchmark, if one did."""
    if failure.traceback:
        say(f"traceback of {failure.error.role} rank {failure.error.rank}:")
        say(failure.traceback.rstrip())
