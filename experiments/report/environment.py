"""The machines that the runs were made on, as a table of names and values; what differs between runs shows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError
from experiments.format.units import human_bytes
from experiments.runs.run import Run
from experiments.schema.documents import Environment


@dataclass(frozen=True)
class Fact:
    """A name and its values: more than one where runs differ in it."""

    name: str
    values: tuple[str, ...]


def _memory(value: Any) -> str:
    return human_bytes(float(value))


NAMES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "cpu": ("Processor", str),
    "cores": ("Cores in use", str),
    "memory_bytes": ("Memory", _memory),
    "hosts": ("Hosts", str),
    "link": ("Link", str),
    "transport": ("Transport", str),
    "threads_per_rank": ("Threads of each rank", str),
    "platform": ("System", str),
    "python": ("Python", str),
    "commit": ("Commit of syncbench", str),
}


def facts(runs: Sequence[Run]) -> list[Fact]:
    """What is recorded, in a fixed order; versions of packages last."""
    every = [environment_of(run) for run in runs]
    found = [
        _fact(title, [show(value) for env in every if (value := getattr(env, key)) is not None])
        for key, (title, show) in NAMES.items()
    ]
    packages = dict.fromkeys(name for env in every for name in env.versions)
    found += [_fact(name, [version for env in every if (version := env.versions.get(name))]) for name in packages]
    return [fact for fact in found if fact.values]


def environment_of(run: Run) -> Environment:
    """The run's env.json; all of it None where it is missing or damaged."""
    try:
        return run.env
    except ConfigError:
        return Environment()


def _fact(name: str, values: Sequence[str]) -> Fact:
    return Fact(name, tuple(dict.fromkeys(values)))
