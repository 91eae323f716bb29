"""The setting of a contest in words, the same wherever it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from experiments.runs.describe import plural
from experiments.runs.labels import SETTINGS

if TYPE_CHECKING:
    from experiments.comparison.model import Contest


def setting_words(contest: Contest, axes: Iterable[str]) -> str:
    """What tells a contest from the others: `4 workers`, `4 workers, link 1gbit`; empty if nothing does."""
    return ", ".join(_words(axis, contest.setting.get(axis)) for axis in axes)


def _words(key: str, value: Any) -> str:
    name = key.replace("_", " ")
    if key in ("workers", "steps") and isinstance(value, int):
        return plural(value, key.removesuffix("s"))
    if key in SETTINGS and value is not None:
        return SETTINGS[key](value)
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if isinstance(value, dict):
        value = " ".join(f"{part}={its}" for part, its in value.items())
    return f"no {name}" if value is None or value == "" else f"{name} {value}"
