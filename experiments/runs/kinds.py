"""Whether what is read from a result folder is of the kind that was written: damage is named once, at the edge.

Only what is there is looked at: folders of earlier versions lack what these did not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

NUMBERS = (
    "workers",
    "servers",
    "steps",
    "batch",
    "hosts",
    "processes",
    "warmup_steps",
    "steps_done",
    "samples_per_second",
    "final_loss",
    "hidden_synchronize_seconds",
    "train_seconds",
    "staleness_max",
    "staleness_updates_max",
    "test_accuracy",
    "parameters",
    "wall_seconds",
    "incarnations",
)
TEXTS = (
    "data",
    "model",
    "partition",
    "preprocess",
    "transport",
    "link",
    "overlap",
    "slow_worker",
    "jitter",
    "placement",
    "consistency",
    "own_transport",
    "synchronizes_in",
    "ledger_sha256",
    "data_sha256",
)
OBJECTS = (
    "strategy_options",
    "optimizer",
    "steps_skipped",
    "stage_seconds",
    "staleness_histogram",
    "staleness_updates_histogram",
    "pushes",
    "strategy_notes",
    "costs",
    "bytes_sent",
    "messages_sent",
    "bytes_received",
    "bytes_between",
    "error",
    "peak_memory_bytes",
)
LISTS = ("hidden", "servers_detail", "params_sha256", "deaths", "restarts")


def number(value: object) -> TypeGuard[float]:
    """Whether it is one that a float can hold, NaN and infinity among them."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63)


def finite(value: object) -> TypeGuard[float]:
    """Whether it is a number, and neither NaN nor infinite."""
    return number(value) and math.isfinite(value)


def text(value: object) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def mapping(value: object) -> bool:
    """Whether it is a JSON object."""
    return isinstance(value, Mapping)


Kinds = tuple[tuple[Iterable[str], str, Callable[[object], bool]], ...]
SUMMARY: Kinds = (
    (NUMBERS, "a number", number),
    (TEXTS, "text", text),
    (OBJECTS, "an object", mapping),
    (LISTS, "a list", lambda value: isinstance(value, list)),
)
ENVIRONMENT: Kinds = (
    (("cores", "memory_bytes", "threads_per_rank", "hosts"), "a number", number),
    (("python", "platform", "cpu", "commit", "transport", "link"), "text", text),
    (("versions",), "an object", mapping),
)


def damage(values: Mapping[str, Any], kinds: Kinds) -> str | None:
    """What is not what it must be, like `workers is 'two', which is not a number`; None if nothing is."""
    for keys, words, fits in kinds:
        for key in keys:
            value = values.get(key)
            if value is not None and not fits(value):
                return f"{key} is {str(value)[:40]!r}, which is not {words}"
    return None


def is_step(row: Mapping[str, Any]) -> bool:
    """Whether the figures of a worker's step record are numbers; its loss may be null."""
    seconds = row["seconds"]
    return (
        isinstance(row["step"], int)
        and finite(row["began"])
        and finite(row["ended"])
        and (row["loss"] is None or number(row["loss"]))
        and isinstance(seconds, Mapping)
        and all(each is None or finite(each) for each in seconds.values())
    )
