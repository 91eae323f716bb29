"""Name runs beside each other, by as little as tells them apart."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from experiments.format.units import size_name
from experiments.runs.run import Run

SETTINGS: Mapping[str, Callable[[Any], str]] = {  # that may differ between runs of the same work
    "servers": lambda value: "1 server" if value == 1 else f"{value} servers",
    "placement": str,
    "transport": str,
    "hosts": lambda value: "1 host" if value == 1 else f"{value} hosts",
    "bucket": lambda value: f"bucket={size_name(value, '')}",
    "overlap": lambda value: f"overlap={value}",
    "slow_worker": lambda value: f"slow {value}" if value else "none slow",
    "jitter": lambda value: f"jitter {value}" if value else "no jitter",
    "train_seconds": lambda value: f"train≥{1e3 * value:g}ms" if value else "train as is",
    "checkpoint_every": lambda value: f"checkpoint every {value}" if value else "no checkpoints",
}


def labels(runs: Sequence[Run]) -> list[str]:
    """Return a distinct short name a run: its strategy, and what differs among its runs or from most runs."""
    return numbered(descriptions(runs))


def descriptions(runs: Sequence[Run], without: Collection[str] = ()) -> list[str]:
    """Return names as `labels` does, though two may be the same; they do not tell the settings `without`."""
    names = [run.strategy.rpartition(":")[2] + bound(run) for run in runs]
    details = [_details(run) for run in runs]
    # A run of one process sends nothing: settings of communication say nothing about it.
    alone = [run.summary.processes == 1 and not run.summary.servers for run in runs]
    sending = [own for own, one in zip(details, alone, strict=True) if not one]
    usual = {key: _majority([own[key] for own in sending if own[key]]) for key in SETTINGS}
    described = []
    for name, own, one in zip(names, details, alone, strict=True):
        namesakes = [other for other, other_name in zip(details, names, strict=True) if other_name == name]
        unusual = set() if one else {key for key, words in usual.items() if own[key] not in ("", words)}
        telling = [key for key in own if key in unusual or len({other[key] for other in namesakes}) > 1]
        described.append(" ".join(filter(None, [name, *(own[key] for key in telling if key not in without)])))
    return described


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, made distinct: `ring`, `ring #2`."""
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [f"{name} #{count}" if count > 1 else name for name, count in zip(names, counts, strict=True)]


def bound(run: Run) -> str:
    """Return the bound of the run's consistency, as `(3)` of `ssp(3)`; empty without one."""
    found = re.search(r"\(\d+\)$", run.summary.consistency)
    return found[0] if found else ""


def _details(run: Run) -> dict[str, str]:
    """Return words on the run; none about settings that it lacks or that its user left to the program."""
    options = sorted(run.summary.strategy_options.items())
    unasked = {*run.summary.automatic, *(() if run.summary.servers else ("servers", "placement"))}
    chosen = {key: None if key in unasked else getattr(run.summary, key) for key in SETTINGS}
    return {
        "options": " ".join(f"{key}={value}" for key, value in options if f"({value})" != bound(run)),
        "workers": f"{run.summary.workers}w",
        "batch": f"b{run.summary.batch}",
        **{key: "" if value is None else SETTINGS[key](value) for key, value in chosen.items()},
    }


def _majority(words: Sequence[str]) -> str | None:
    return next((word for word, count in Counter(words).items() if 2 * count > len(words)), None)
