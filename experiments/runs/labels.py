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
    usual = _usual(runs)
    described = []
    for run, name, own in zip(runs, names, details, strict=True):
        namesakes = [other for other, other_name in zip(details, names, strict=True) if other_name == name]
        settings = {} if _alone(run) else _settings(run)
        unusual = {key for key, words in settings.items() if words != usual.get(key)}
        telling = [key for key in own if key in unusual or len({other[key] for other in namesakes}) > 1]
        described.append(" ".join(filter(None, [name, *(own[key] for key in telling if key not in without)])))
    return described


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, made distinct: `ring`, `ring #2`."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return distinct


def bound(run: Run) -> str:
    """Return the bound of the run's consistency, as `(3)` of `ssp(3)`; empty without one."""
    found = re.search(r"\(\d+\)$", run.summary.consistency)
    return found[0] if found else ""


def _details(run: Run) -> dict[str, str]:
    options = sorted(run.summary.strategy_options.items())
    return {
        "options": " ".join(f"{key}={value}" for key, value in options if f"({value})" != bound(run)),
        "workers": f"{run.summary.workers}w",
        "batch": f"b{run.summary.batch}",
        **dict.fromkeys(SETTINGS, ""),
        **_settings(run),
    }


def _settings(run: Run) -> dict[str, str]:
    """Return the words of the settings that the user chose; nothing about servers for a run without them."""
    unasked = {*run.summary.automatic, *(() if run.summary.servers else ("servers", "placement"))}
    chosen = {key: getattr(run.summary, key) for key in SETTINGS if key not in unasked}
    return {key: SETTINGS[key](value) for key, value in chosen.items() if value is not None}


def _alone(run: Run) -> bool:
    """Whether the run is one process, which sends nothing: settings of communication say nothing about it."""
    return run.summary.processes == 1 and not run.summary.servers


def _usual(runs: Sequence[Run]) -> dict[str, str]:
    """Return the value of each setting that more than half of the runs with this setting have."""
    every = [_settings(run) for run in runs if not _alone(run)]
    counts = {key: Counter(settings[key] for settings in every if key in settings) for key in SETTINGS}
    first = {key: count.most_common(1)[0] for key, count in counts.items() if count}
    return {key: value for key, (value, times) in first.items() if 2 * times > counts[key].total()}
