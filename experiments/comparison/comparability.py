"""Check, before any chart or verdict, that runs did the same work and computed the same parameters."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from experiments.comparison.equivalence import TOLERANCE, ParameterCheck, check_parameters, yardstick
from experiments.comparison.grouping import SETTING, Field, Group, asked
from experiments.runs.run import Run

_SAMPLES = ("seed", "batch", "steps", "data", "workers", "partition", "steps_done", "deaths")
_WORK = {
    ("data",): "trained on different data than",
    ("model", "hidden", "parameters"): "trained a different model than",
    SETTING: "was not asked to do the same as",
}
_ORDER = ("reference", "same", "not promised", "unknown", "differs")  # kinds of checks, the worst last


def comparability(field: Field, labels: Sequence[str]) -> list[tuple[str | None, ParameterCheck]]:
    """Return, for each group of `field`, why it is refused (None if it is not) and the check of its final parameters.

    `labels` are the names of the groups. Reads the final parameters of the runs.
    """
    first = _reference(field.groups)
    name = labels[field.groups.index(first)]
    reasons = [
        next((why for run in group.runs if (why := _other_work(run, first.runs[0], name))), None)
        for group in field.groups
    ]
    same = [run for group, why in zip(field.groups, reasons, strict=True) if why is None for run in group.runs]
    standard = yardstick(same)
    checks = {run.path: check for run, check in zip(same, check_parameters(same), strict=True)}
    judge = next((label for group, label in zip(field.groups, labels, strict=True) if standard in group.runs), "")
    return [
        _judged(group, [checks[run.path] for run in group.runs], standard, judge)
        if why is None
        else (why, ParameterCheck("unknown", None, why))
        for group, why in zip(field.groups, reasons, strict=True)
    ]


def _reference(groups: Sequence[Group]) -> Group:
    """Return the group whose samples the others must have seen: `single`, else the most frequent samples."""
    members = [group for group in groups if not group.stranger]
    ledgers = [group.runs[0].summary.ledger_sha256 for group in members]
    for group, ledger in zip(members, ledgers, strict=True):
        if group.strategy == "single" and ledger:
            return group
    counts = Counter(ledger for ledger in ledgers if ledger)
    usual = counts.most_common(1)[0][0] if counts else None
    return members[ledgers.index(usual)]


def _other_work(run: Run, reference: Run, name: str) -> str | None:
    """Return why the work of `run` was not that of `reference`, as the rest of a sentence about it."""
    ledger = run.summary.ledger_sha256
    if not ledger:
        return "has no sample ledger"
    if ledger != reference.summary.ledger_sha256:
        why = _differences(reference, run, _SAMPLES) or "and nothing in the summaries explains it"
        return f"trained on different samples than {name}: {why}"
    for keys, what in _WORK.items():
        if why := _differences(reference, run, keys):
            return f"{what} {name}: {why}"
    content, other = run.summary.data_sha256, reference.summary.data_sha256
    if not content or not other or content == other:
        return None
    hashes = f"data_sha256 {other[:8]} and {content[:8]}"
    return f"trained on different data than {name}: the content of {run.summary.data} has changed, {hashes}"


def _differences(first: Run, second: Run, keys: Sequence[str]) -> str:
    pairs = {key: _different_parts(asked(first, key), asked(second, key)) for key in keys}
    return ", ".join(f"{key} {_words(a)} and {_words(b)}" for key, (a, b) in pairs.items() if a != b)


def _different_parts(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two settings; of two mappings only the entries that differ."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return a, b
    keys = [key for key in a | b if a.get(key) != b.get(key)]
    return {key: a.get(key) for key in keys}, {key: b.get(key) for key in keys}


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={part}" for key, part in value.items())
    return "none" if value is None or value == "" else str(value)


def _judged(
    group: Group, checks: Sequence[ParameterCheck], standard: Run | None, judge: str
) -> tuple[str | None, ParameterCheck]:
    """Return the worst that is known of the repeats of a group."""
    if standard in group.runs:  # its other repeats must have the same parameters
        checks = [ParameterCheck("reference", 0.0) if check.kind == "same" else check for check in checks]
    worst = max(checks, key=lambda check: (_ORDER.index(check.kind), check.deviation or 0.0))
    if worst.kind == "differs":
        by = "" if worst.deviation is None else f" by {worst.deviation:.0e}, where {TOLERANCE:.0e} is allowed"
        why = worst.reason or f"its parameters differ from those of {judge}{by}"
        return f"did not compute what {judge} did: {why}", worst
    return f"cannot be checked: {worst.reason}" if worst.kind == "unknown" else None, worst
