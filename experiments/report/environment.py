"""The machines of the runs, as names and values; a name has several values if runs differ in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.errors import ConfigError
from experiments.format.units import human_bytes
from experiments.runs.run import Run
from experiments.schema.documents import Environment

NAMES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "cpu": ("Processor", str),
    "cores": ("Cores in use", str),
    "memory_bytes": ("Memory", human_bytes),
    "hosts": ("Hosts", str),
    "link": ("Link", str),
    "transport": ("Transport", str),
    "threads_per_rank": ("Threads of each rank", str),
    "platform": ("System", str),
    "python": ("Python", str),
    "commit": ("Commit of syncbench", str),
}


def facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return what is recorded, in a fixed order; versions of packages last."""
    every = [environment_of(run) for run in runs]
    found = {
        title: [show(value) for env in every if (value := getattr(env, key)) is not None]
        for key, (title, show) in NAMES.items()
    }
    for env in every:
        for package, version in env.versions.items():
            found.setdefault(package, []).extend([version] if version else [])
    return {name: list(dict.fromkeys(values)) for name, values in found.items() if values}


def environment_of(run: Run) -> Environment:
    """Return the run's env.json; an empty one if the file is missing or damaged."""
    try:
        return run.env
    except ConfigError:
        return Environment()
