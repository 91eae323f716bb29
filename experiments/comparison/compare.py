"""Compare runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from common.errors import ConfigError, suggest
from experiments.comparison.caveats import circumstances, notes
from experiments.comparison.comparability import comparability
from experiments.comparison.grouping import SETTING, Field, Group, asked, axes, fields
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
    """Return the contests among `runs`, with verdicts. Reads the final parameters of the runs.

    `baseline` is a label or a strategy. Without it, the baseline is the contender in the most contests; of several, the
    one with the strategy `first`, else the first one. Runs from different `origins`, by path, do not repeat each other.
    ConfigError if no contest has the baseline.
    """
    found = fields([run for run in runs if run.status == "ok"], origins)
    entries = [_entries(field, labels) for field, labels in zip(found, _labels(found), strict=True)]
    chosen = _baseline(entries, baseline, first)
    contests = [_contest(field, members, chosen) for field, members in zip(found, entries, strict=True)]
    differing = axes([contest.setting for contest in contests])
    ranks = {key: {str(value): place for place, value in enumerate(values)} for key, values in differing.items()}
    contests.sort(key=lambda contest: [rank[str(contest.setting[key])] for key, rank in ranks.items()])
    several = [contest for contest in contests if len(contest.entries) > 1]
    warnings = tuple(
        f"without {name} among them there is no {what}"
        for name, what in (("single", "yardstick"), ("noop", "ceiling"))
        if several and not any(contest.strategy(name) for contest in several)
    )
    return Comparison(tuple(contests), differing, tuple(run for run in runs if run.status != "ok"), warnings)


def _labels(found: Sequence[Field]) -> list[list[str]]:
    """Return the name of each group: the same in every contest, and distinct within one."""
    names = iter(descriptions([group.runs[0] for field in found for group in field.groups], SETTING))
    return [numbered([_label(next(names), group, field) for group in field.groups]) for field in found]


def _label(name: str, group: Group, field: Field) -> str:
    """Return the name with what tells a stranger, `3w` or `seed 7`, and with the origin."""
    run = group.runs[0]
    keys = [key for key in SETTING if asked(run, key) != field.setting[key]]
    if "workers" in keys:  # the batch follows
        keys = [key for key in keys if key != "batch"]
    words = [f"{run.summary.workers}w" if key == "workers" else f"{key} {asked(run, key)}" for key in keys]
    return " ".join([name, *words, *([f"({group.origin})"] if group.origin else [])])


def _entries(field: Field, labels: Sequence[str]) -> list[Entry]:
    """Return the entries, without ratios."""
    entries = []
    for group, label, (refused, check) in zip(field.groups, labels, comparability(field, labels), strict=True):
        rates = tuple(rate for run in group.runs if (rate := run.summary.samples_per_second))
        interval = median_interval(rates) if rates else Interval(0.0, 0.0, 0.0)
        entry = Entry(label, group.strategy, group.runs, rates, interval, refused=refused, check=check)
        entries.append(replace(entry, origin=group.origin))
    ceilings = [entry for entry in entries if entry.strategy == "noop" and entry.refused is None and entry.rates]
    return [_with_ceiling(entry, ceilings) for entry in entries]


def _with_ceiling(entry: Entry, ceilings: Sequence[Entry]) -> Entry:
    """Return `entry` with its share of the nearest ceiling and its notes. `single` waits for nobody: it has none."""

    def near(other: Entry) -> tuple[bool, bool]:
        return other.origin == entry.origin, other.run.summary.transport == entry.run.summary.transport

    share = None
    if ceilings and entry.rates and entry.refused is None and entry.strategy != "single":
        share = entry.rate.middle / max(ceilings, key=near).rate.middle
    return replace(entry, share=share, notes=notes(entry, share))


def _baseline(contests: Sequence[Sequence[Entry]], wanted: str | None, first: str | None) -> str:
    """Return the label of the baseline; empty if no entry can be one."""
    every = [entry for entries in contests for entry in entries if entry.refused is None and entry.rates]
    if wanted is not None:
        if match := next((entry for entry in every if wanted in (entry.label, entry.strategy)), None):
            return match.label
        labels = dict.fromkeys(entry.label for entry in every)
        raise ConfigError(f"no baseline {wanted!r} among these runs: {suggest(wanted, labels)}")
    counts = Counter(entry.label for entry in every if entry.contends)
    if len(counts) < 2 and (single := next((entry for entry in every if entry.strategy == "single"), None)):
        return single.label
    if not counts:
        return every[0].label if every else ""
    most = [label for label, count in counts.items() if count == max(counts.values())]
    return next((entry.label for entry in every if entry.label in most and entry.strategy == first), most[0])


def _contest(field: Field, entries: Sequence[Entry], baseline: str) -> Contest:
    base = next((entry for entry in entries if entry.label == baseline and not entry.refused and entry.rates), None)
    compared = []
    for entry in entries:
        ratio = None
        if base and entry.rates and entry.refused is None:
            ratio = Interval(1.0, 1.0, 1.0) if entry is base else ratio_interval(entry.rates, base.rates)
        compared.append(replace(entry, ratio=ratio))
    warnings = [f"{entry.label} {note}" for entry in compared for note in entry.notes]
    if base is None and baseline:
        warnings.append(f"the baseline {baseline} is not in this contest: no ratios")
    warnings += circumstances(compared)
    return Contest(field.setting, tuple(compared), base.label if base else "", tuple(warnings))
