"""From runs to a comparison."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from common.errors import ConfigError, suggest
from experiments.comparison.caveats import circumstances, notes
from experiments.comparison.comparability import gate
from experiments.comparison.grouping import SETTING, Field, asked, axes, fields
from experiments.comparison.model import Comparison, Contest, Entry
from experiments.metrics.intervals import Interval, median_interval, ratio_interval
from experiments.runs.labels import descriptions, numbered
from experiments.runs.run import Run


def compare_runs(
    runs: Sequence[Run],
    baseline: str | None = None,
    origins: Mapping[Path, str] = MappingProxyType({}),
    first: str | None = None,
) -> Comparison:
    """The contests among `runs`, judged.

    Those that did not come to their end are listed as failed. `baseline` is a label or a strategy; None: of those that
    contend the one that is in the most contests; of several the strategy `first`, else the one that was run first.
    `origins` says by path which runs are from where: those from different places do not repeat each other, though the
    same was asked of them. Reads the parameters that the runs ended with. ConfigError if no contest has the baseline.
    """
    ended = [run for run in runs if run.status == "ok"]
    found = fields(ended, origins)
    names = _labels(found)
    judged = [_entries(field, labels) for field, labels in zip(found, names, strict=True)]
    chosen = _chosen(judged, baseline, first)
    contests = [_contest(field, entries, chosen) for field, entries in zip(found, judged, strict=True)]
    differ = axes([contest.setting for contest in contests])
    ranks = {key: {str(value): place for place, value in enumerate(values)} for key, values in differ.items()}
    contests.sort(key=lambda contest: [rank[str(contest.setting[key])] for key, rank in ranks.items()])
    failed = tuple(run for run in runs if run.status != "ok")
    return Comparison(tuple(contests), differ, failed, tuple(_missing(contests)))


def _labels(found: Sequence[Field]) -> list[list[str]]:
    """The name of each group: the same in every contest, and distinct within one."""
    groups = [group for field in found for group in field.groups]
    told = dict(zip(map(id, groups), descriptions([group.runs[0] for group in groups], SETTING), strict=True))
    return [
        numbered(
            [
                told[id(group)]
                + (_apart(group.runs[0], field) if group.stranger else "")
                + (f" ({group.origin})" if group.origin else "")
                for group in field.groups
            ]
        )
        for field in found
    ]


def _apart(run: Run, field: Field) -> str:
    """What tells a stranger: ` 3w`, ` seed 7`; a batch that only follows the workers is not told."""
    keys = [key for key in SETTING if asked(run, key) != field.setting[key]]
    if "workers" in keys:
        keys = [key for key in keys if key != "batch"]
    return "".join(f" {run.summary.workers}w" if key == "workers" else f" {key} {asked(run, key)}" for key in keys)


def _entries(field: Field, labels: Sequence[str]) -> list[Entry]:
    """The entries, without ratios."""
    entries = []
    for group, label, passed in zip(field.groups, labels, gate(field, labels), strict=True):
        rates = tuple(found for run in group.runs if (found := run.summary.samples_per_second))
        rate = median_interval(rates) if rates else Interval(0.0, 0.0, 0.0)
        judged: dict[str, Any] = {"refused": passed.refused, "check": passed.check, "origin": group.origin}
        entries.append(Entry(label, group.strategy, tuple(group.runs), rates, rate, **judged))
    return [_annotated(entry, entries) for entry in entries]


def _annotated(entry: Entry, entries: Sequence[Entry]) -> Entry:
    """`entry` with its share of the ceiling and its notes. One process alone is bounded by no ceiling."""
    tops = [one for one in entries if one.strategy == "noop" and one.refused is None and one.rates]
    top = max(
        tops,
        key=lambda one: (one.origin == entry.origin, one.run.summary.transport == entry.run.summary.transport),
        default=None,
    )
    share = None
    if top and entry.rates and entry.refused is None and entry.strategy != "single":
        share = entry.rate.middle / top.rate.middle
    return dataclasses.replace(entry, share=share, notes=notes(entry.rates, entry.rate.middle, entry.runs, share))


def _chosen(contests: Sequence[Sequence[Entry]], wanted: str | None, first: str | None) -> str:
    """The label of the baseline; empty if nobody can be one."""
    every = [entry for entries in contests for entry in entries if entry.refused is None and entry.rates]
    if wanted is not None:
        if match := next((entry for entry in every if wanted in (entry.label, entry.strategy)), None):
            return match.label
        labels = dict.fromkeys(entry.label for entry in every)
        raise ConfigError(f"no baseline {wanted!r} among these runs: {suggest(wanted, labels)}")
    counts = Counter(entry.label for entry in every if entry.contends)
    if len(counts) < 2 and any(entry.strategy == "single" for entry in every):
        return next(entry.label for entry in every if entry.strategy == "single")
    if not counts:
        return every[0].label if every else ""
    most = [label for label, count in counts.items() if count == max(counts.values())]
    firsts = [entry.label for entry in every if entry.label in most and entry.strategy == first]
    return (firsts or most)[0]


def _contest(field: Field, entries: Sequence[Entry], baseline: str) -> Contest:
    base = next((one for one in entries if one.label == baseline and one.refused is None and one.rates), None)
    compared = tuple(dataclasses.replace(entry, ratio=_ratio(entry, base)) for entry in entries)
    warnings = [f"{entry.label} {note}" for entry in compared for note in entry.notes]
    if base is None and baseline:
        warnings.append(f"{baseline}, the baseline, is not here: no ratios")
    warnings += circumstances(compared)
    return Contest(field.setting, compared, base.label if base else "", tuple(warnings))


def _ratio(entry: Entry, base: Entry | None) -> Interval | None:
    if base is None or entry.refused is not None or not entry.rates:
        return None
    return Interval(1.0, 1.0, 1.0) if entry is base else ratio_interval(entry.rates, base.rates)


def _missing(contests: Sequence[Contest]) -> list[str]:
    """Which of the yardstick and the ceiling are missing, where there is something to compare."""
    lines = []
    real = [contest for contest in contests if len(contest.entries) > 1]
    for name, what in (("single", "no yardstick"), ("noop", "no ceiling")):
        if real and not any(contest.strategy(name) for contest in real):
            lines.append(f"without {name} among them there is {what}")
    return lines
