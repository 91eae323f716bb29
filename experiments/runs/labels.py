"""What runs are called beside each other: as little as tells them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from experiments.format.units import size_name
from experiments.runs.run import Run

SETTINGS: Mapping[str, Callable[[Any], str]] = {  # of a run that may differ while the work is the same
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
    """A distinct short name for each run: its strategy, plus whatever tells it from the others.

    That is what differs between runs of this strategy, and any setting that most of the runs have otherwise.
    """
    return numbered(descriptions(runs))


def descriptions(runs: Sequence[Run], but: Collection[str] = ()) -> list[str]:
    """As `labels`, though two may be the same; the settings `but` are not told."""
    names = [run.strategy.rpartition(":")[2] + bound(run) for run in runs]
    usual = _usual(runs)
    described = []
    for run, name in zip(runs, names, strict=True):
        namesakes = [_details(other) for other, its in zip(runs, names, strict=True) if its == name]
        mine, told = _details(run), {} if _alone(run) else _settings(run)
        odd = {key for key, value in told.items() if value != usual.get(key)}
        telling = (key for key in mine if key in odd or len({d[key] for d in namesakes}) > 1)
        described.append(" ".join(filter(None, [name, *(mine[key] for key in telling if key not in but)])))
    return described


def numbered(names: Sequence[str]) -> list[str]:
    """The names, made distinct: `ring`, `ring #2`."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return distinct


def bound(run: Run) -> str:
    """That of its consistency, as `(3)` of `ssp(3)`; empty where it has none."""
    found = re.search(r"\(\d+\)$", run.summary.consistency)
    return found[0] if found else ""


def _details(run: Run) -> dict[str, str]:
    options = run.summary.strategy_options.items()
    return {
        "options": " ".join(f"{key}={value}" for key, value in sorted(options) if f"({value})" != bound(run)),
        "workers": f"{run.summary.workers}w",
        "batch": f"b{run.summary.batch}",
        **dict.fromkeys(SETTINGS, ""),
        **_settings(run),
    }


def _settings(run: Run) -> dict[str, str]:
    """How it was run, in words; nothing about servers where there are none.

    Without what is not recorded, and what nobody asked for: that differs as the machine or the workers do.
    """
    every = {key: getattr(run.summary, key) for key in SETTINGS if key not in run.summary.automatic}
    known = {key: value for key, value in every.items() if value is not None}
    if not known.get("servers"):
        known = {key: value for key, value in known.items() if key not in ("servers", "placement")}
    return {key: SETTINGS[key](value) for key, value in known.items()}


def _alone(run: Run) -> bool:
    """Whether it is one process, which sends nothing: settings of communication say nothing about it."""
    return run.summary.processes == 1 and not run.summary.servers


def _usual(runs: Sequence[Run]) -> dict[str, str]:
    """Of each setting the value that more than half of the runs have that have it at all; none where none does."""
    every = [_settings(run) for run in runs if not _alone(run)]
    counts = {key: Counter(settings[key] for settings in every if key in settings) for key in SETTINGS}
    first = {key: count.most_common(1)[0] for key, count in counts.items() if count}
    return {key: value for key, (value, times) in first.items() if 2 * times > counts[key].total()}
