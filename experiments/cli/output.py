"""Where a verb writes: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from common.errors import JobFailed
from experiments.format.table import Table, terminal_table
from experiments.schema.files import to_builtins

if TYPE_CHECKING:
    from rich.console import Console


def say(text: object) -> None:
    """Write a line for people to standard error."""
    print(text, file=sys.stderr, flush=True)


def dump(value: Struct | Mapping[str, Any]) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(to_builtins(value) if isinstance(value, Struct) else value, indent=1, allow_nan=False))


def say_failed(failure: JobFailed, as_json: bool) -> int:
    """Say why ranks failed, with a traceback if one raised; with `as_json`, also dump the summary. Returns 1."""
    if as_json:
        dump(failure.document)
    if failure.traceback:
        say(f"traceback of {failure.error.role} rank {failure.error.rank}:\n{failure.traceback.rstrip()}")
    say(f"syncbench: {failure}\n{failure.remains}")
    return 1


def console() -> Console:
    """Return standard output for tables, 120 columns wide if it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=120)


def show(*parts: Table[Any] | str) -> None:
    """Print lines, and tables as wide as the terminal, each with an empty line below it, to standard output."""
    shown = console()
    for part in parts:
        shown.print(part if isinstance(part, str) else terminal_table(part, shown.width))
        if not isinstance(part, str):
            shown.print()
