"""Group runs into repeats and contests, by what was asked for and never by the results."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from experiments.runs.run import Run
from experiments.runs.summary import ASKED_FOR

# Contests that differ in these alone may be points of one curve.
SCALES = ("workers", "model", "hidden", "batch", "link", "hosts", "slow_worker", "jitter", "train_seconds")
# What the entries of a contest have in common. They differ in the rest that was asked for, such as the strategy, its
# options, servers and the transport.
SETTING = (*SCALES, "data", "partition", "preprocess", "seed", "steps", "optimizer")

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Group:
    """Runs that repeat each other; `origin` is their folder if several have such runs. A `stranger` did other work."""

    runs: tuple[Run, ...]
    origin: str = ""
    stranger: bool = False

    @property
    def strategy(self) -> str:
        return self.runs[0].strategy


@dataclass(frozen=True)
class Field:
    """The groups of runs that meet in one contest."""

    setting: Mapping[str, Any]
    groups: tuple[Group, ...]


def asked(run: Run, key: str) -> Any:
    """Return what was asked of `run` under this key of its summary, as a JSON value."""
    value = msgspec.to_builtins(getattr(run.summary, key))
    return list(value) if isinstance(value, tuple) else value


def fields(runs: Iterable[Run], origins: Mapping[Path, str]) -> list[Field]:
    """Return the contests among `runs`, in order; a run that meets no other is a stranger in the nearest contest."""
    every = [_field(members, origins) for members in _grouped(runs, lambda run: _key(run, SETTING)).values()]
    kept = {place: field for place, field in enumerate(every) if len(field.groups) > 1}
    for place, lonely in enumerate(every):
        if len(lonely.groups) > 1:
            continue
        nearest = min(kept, key=lambda other: len(_differing(kept[other], lonely)), default=None)
        if nearest is None or any(_on_one_curve(lonely, field) for field in kept.values()):
            kept[place] = lonely
        else:
            stranger = replace(lonely.groups[0], stranger=True)
            kept[nearest] = replace(kept[nearest], groups=(*kept[nearest].groups, stranger))
    return [kept[place] for place in sorted(kept)]


def _field(runs: Sequence[Run], origins: Mapping[Path, str]) -> Field:
    repeats = _grouped(runs, lambda run: (_key(run, (*ASKED_FOR, "placement")), origins.get(run.path, "")))
    places = Counter(work for work, _ in repeats)
    groups = [Group(tuple(same), origin if places[work] > 1 else "") for (work, origin), same in repeats.items()]
    return Field({key: asked(runs[0], key) for key in SETTING}, tuple(groups))


def _grouped(runs: Iterable[Run], key: Callable[[Run], K]) -> dict[K, list[Run]]:
    groups: dict[K, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _key(run: Run, keys: Sequence[str]) -> str:
    return json.dumps([asked(run, key) for key in keys], sort_keys=True)


def _differing(one: Field, other: Field) -> set[str]:
    return {key for key in SETTING if one.setting[key] != other.setting[key]}


def _on_one_curve(lonely: Field, other: Field) -> bool:
    strategies = {group.strategy for group in other.groups if not group.stranger}
    return lonely.groups[0].strategy in strategies and _differing(lonely, other) <= set(SCALES)


def axes(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the settings that differ, with their values in order; not a batch that only follows the workers."""
    found: dict[str, tuple[Any, ...]] = {}
    for key in SETTING:
        values = list({json.dumps(setting[key], sort_keys=True): setting[key] for setting in settings}.values())
        if len(values) > 1:
            found[key] = tuple(sorted(values) if all(isinstance(value, int | float) for value in values) else values)
    pairs = {(setting["workers"], setting["batch"]) for setting in settings}
    if len(pairs) == len(found.get("workers", ())):
        found.pop("batch", None)
    return found
