"""Where a verb writes: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from common.errors import JobFailed
from experiments.format.table import Table, terminal_table
from experiments.schema.files import to_builtins


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


def show(*parts: Table[Any] | str) -> None:
    """Print lines, and tables with an empty line below, to standard output: 120 columns wide if it is no terminal."""
    from rich.console import Console  # late: --help needs it not

    plain: dict[str, Any] = {"highlight": False, "markup": False}
    shown = Console(**plain) if Console().is_terminal else Console(width=120, **plain)
    for part in parts:
        shown.print(part if isinstance(part, str) else terminal_table(part, shown.width))
        if not isinstance(part, str):
            shown.print()
