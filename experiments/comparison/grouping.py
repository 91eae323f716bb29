"""Which runs repeat each other, and which meet in a contest: from what was asked for, never from what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from experiments.runs.run import Run
from experiments.runs.summary import ASKED

# What entries of one contest have in common. What else was asked for, such as the strategy, its options, servers, or
# the transport, is what they differ in.
SETTING = (
    "workers",
    "model",
    "hidden",
    "batch",
    "link",
    "hosts",
    "slow_worker",
    "jitter",
    "train_seconds",
    "data",
    "partition",
    "preprocess",
    "seed",
    "steps",
    "optimizer",
)
# Contests that differ in these alone may be points of one curve, though only one strategy was run in each.
SCALES = SETTING[:9]
_ALL = tuple(dict.fromkeys((*ASKED, "placement", *SETTING)))


@dataclass
class Group:
    """Runs that repeat each other. A stranger is here because no contest of its own has anyone to meet.

    `origin` is empty unless runs from elsewhere were asked for the very same.
    """

    runs: list[Run]
    stranger: bool = False
    origin: str = ""

    @property
    def strategy(self) -> str:
        return self.runs[0].strategy


@dataclass
class Field:
    """Who meets in one contest."""

    setting: Mapping[str, Any]
    groups: list[Group] = field(default_factory=list)


def setting_of(run: Run) -> dict[str, Any]:
    """What `run` has in common with the others of its contest, as JSON values."""
    return {key: asked(run, key) for key in SETTING}


def asked(run: Run, key: str) -> Any:
    """What was asked of `run` under this key of its summary, as a JSON value."""
    value = msgspec.to_builtins(getattr(run.summary, key))
    return list(value) if isinstance(value, tuple) else value


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The settings in which two contests differ."""
    return [key for key in SETTING if a[key] != b[key]]


def fields(runs: Iterable[Run], origins: Mapping[Path, str]) -> list[Field]:
    """The contests among `runs`, in order of first appearance; runs of different `origins` never repeat each other.

    Someone who has a contest to himself, and is no point of a curve either, is put as a stranger where he differs
    least: he was meant to be compared, and the gate then says why he cannot be.
    """
    found: dict[str, Field] = {}
    groups: dict[str, dict[str, Group]] = {}  # by what was asked for, by origin
    for run in runs:
        home = found.setdefault(_key(run, SETTING), Field(setting_of(run)))
        origin, alike = origins.get(run.path, ""), groups.setdefault(_key(run, _ALL), {})
        if origin in alike:
            alike[origin].runs.append(run)
        else:
            alike[origin] = Group([run])
            home.groups.append(alike[origin])
    for alike in groups.values():
        for origin, group in alike.items():
            group.origin = origin if len(alike) > 1 else ""
    kept = [one for one in found.values() if len(one.groups) > 1]
    for lonely in [one for one in found.values() if len(one.groups) == 1]:
        nearest = min(kept, key=lambda one: len(differing(one.setting, lonely.setting)), default=None)
        if nearest is None or any(_on_one_curve(lonely, one) for one in kept):
            kept.append(lonely)
        else:
            nearest.groups.append(Group(lonely.groups[0].runs, stranger=True))
    return [one for one in found.values() if any(one is other for other in kept)]


def _key(run: Run, keys: Sequence[str]) -> str:
    return json.dumps([asked(run, key) for key in keys], sort_keys=True)


def _on_one_curve(lonely: Field, other: Field) -> bool:
    met = {group.strategy for group in other.groups if not group.stranger}
    return lonely.groups[0].strategy in met and set(differing(lonely.setting, other.setting)) <= set(SCALES)


def axes(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The settings that differ, with their values: numbers in order, others as they come.

    A batch that only follows the number of workers is not one of its own.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for key in SETTING:
        values: dict[str, Any] = {}
        for setting in settings:
            values.setdefault(json.dumps(setting[key], sort_keys=True), setting[key])
        if len(values) > 1:
            found[key] = in_order(values.values())
    if "workers" in found and len({(one["workers"], one["batch"]) for one in settings}) == len(found["workers"]):
        found.pop("batch", None)
    return found


def in_order(values: Iterable[Any]) -> tuple[Any, ...]:
    """Numbers by size, anything else as it comes."""
    every = tuple(values)
    return tuple(sorted(every)) if all(isinstance(value, int | float) for value in every) else every
