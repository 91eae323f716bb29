"""What can be asked of a run, and how its values are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common.errors import ConfigError
from common.runtime.job import AUTO, DEDICATED

AUTO_ON_OFF = ("auto", "on", "off")  # what `on_off` may give


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What can be asked of a run. None: chosen from the rest."""

    strategy: str = "ring"
    strategy_options: dict[str, Any] = field(default_factory=dict)
    workers: int = 4
    servers: int | None = None
    placement: str = DEDICATED
    threads: int = 1
    steps: int = 200
    batch: int | None = None
    seed: int = 0
    data: str = "digits"
    model: str = "mlp"
    hidden: tuple[int, ...] = (64,)
    partition: str = "shuffled"
    preprocess: str | None = None
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    schedule: str = "constant"
    warmup: int = 0
    decay: float = 0.1
    decay_every: int | None = None
    transport: str = AUTO
    link: str | None = None
    interface: str = "127.0.0.1"
    hosts: int = 1
    deadline: float = 60.0
    bucket: int | None = None
    overlap: str = "auto"
    slow_worker: str | Sequence[str] = ""
    jitter: str = ""
    train_seconds: float = 0.0
    on_worker_death: str = "abort"
    checkpoint_every: int = 0
    restarts: int = 0
    trace: bool = False


def sizes(given: str | int | Sequence[int]) -> tuple[int, ...]:
    """`256,128` (or a list, or one number) as layer sizes. ValueError if it is something else."""
    text = str(given).strip("[](), ")
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*", text):
        raise ValueError(f"layer sizes are whole numbers with commas, like 256,128; not {given!r}")
    return tuple(int(part) for part in text.split(","))


def on_off(given: Any) -> str:
    """`on` or `off`, which YAML reads as true or false where they have no quotes; anything else as its text."""
    return ("on" if given else "off") if isinstance(given, bool) else str(given)


def counts(option: str, given: str | int) -> tuple[int, ...]:
    """`2,4,8` as whole numbers from 1, ascending, each once. ConfigError if it is something else."""
    try:
        found = sizes(given)
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ConfigError(f"--{option} is {str(given)!r}: give whole numbers from 1, with commas between them")
    return tuple(sorted(set(found)))
