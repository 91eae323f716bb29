"""The gate before any chart or verdict: did they do the same work, and did they compute the same thing?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.comparison.equivalence import TOLERANCE, ParameterCheck, check_parameters, yardstick
from experiments.comparison.grouping import SETTING, Field, Group, asked
from experiments.runs.run import Run

_SAMPLES = ("seed", "batch", "steps", "data", "workers", "partition", "steps_done", "deaths")
_MODEL = ("model", "hidden", "parameters")


@dataclass(frozen=True)
class Passed:
    """What the gate says of a group: why it is refused, if it is, and what is known of the parameters it ended with."""

    refused: str | None
    check: ParameterCheck


def gate(field: Field, labels: Sequence[str]) -> list[Passed]:
    """One answer a group of `field`, whose names are `labels`. Reads the parameters that the runs ended with."""
    first = _reference(field.groups)
    name = labels[field.groups.index(first)]
    work = [_other_work(group, first.runs[0], name) for group in field.groups]
    same = [run for group, why in zip(field.groups, work, strict=True) if why is None for run in group.runs]
    standard = yardstick(same)
    found = {id(run): verdict for run, verdict in zip(same, check_parameters(same), strict=True)}
    judge = next((label for group, label in zip(field.groups, labels, strict=True) if standard in group.runs), "")
    return [
        Passed(why, ParameterCheck("unknown", None, why)) if why is not None else _judged(group, found, standard, judge)
        for group, why in zip(field.groups, work, strict=True)
    ]


def _reference(groups: Sequence[Group]) -> Group:
    """Whose samples the others must have seen: those of `single`, else of most, else of the first."""
    members = [group for group in groups if not group.stranger]
    if single := next((group for group in members if group.strategy == "single" and _ledger(group.runs[0])), None):
        return single
    counts = Counter(ledger for group in members if (ledger := _ledger(group.runs[0])))
    usual = counts.most_common(1)[0][0] if counts else None
    return next(group for group in members if _ledger(group.runs[0]) == usual)


def _ledger(run: Run) -> str | None:
    return run.summary.ledger_sha256


def _other_work(group: Group, reference: Run, name: str) -> str | None:
    return next((why for run in group.runs if (why := _unlike(run, reference, name))), None)


def _unlike(run: Run, reference: Run, name: str) -> str | None:
    """Why the work of `run` was not that of `reference`, as the rest of a sentence about it."""
    if not _ledger(run):
        return "has no sample ledger"
    if _ledger(run) != _ledger(reference):
        why = _differences(reference, run, _SAMPLES) or "and nothing in the summaries explains it"
        return f"trained on different samples than {name}: {why}"
    for keys, what in (
        (("data",), "trained on different data than"),
        (_MODEL, "trained a different model than"),
        (SETTING, "was not asked to do the same as"),
    ):
        if why := _differences(reference, run, keys):
            return f"{what} {name}: {why}"
    return _other_content(run, reference, name)


def _other_content(run: Run, reference: Run, name: str) -> str | None:
    """Why the data of one name were not the same; None where a run has no hash of them, as older ones have not."""
    mine, its = (one.summary.data_sha256 for one in (run, reference))
    if not mine or not its or mine == its:
        return None
    data = run.summary.data
    return f"trained on different data than {name}: what is in {data} has changed, data_sha256 {its[:8]} and {mine[:8]}"


def _differences(first: Run, second: Run, keys: Sequence[str]) -> str:
    pairs = {key: _different_parts(asked(first, key), asked(second, key)) for key in keys}
    return ", ".join(f"{key} {_words(a)} and {_words(b)}" for key, (a, b) in pairs.items() if a != b)


def _different_parts(a: Any, b: Any) -> tuple[Any, Any]:
    """Two settings; of two mappings only the entries that differ."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return a, b
    keys = [key for key in a | b if a.get(key) != b.get(key)]
    return {key: a.get(key) for key in keys}, {key: b.get(key) for key in keys}


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={part}" for key, part in value.items())
    return "none" if value is None or value == "" else str(value)


def _judged(group: Group, found: dict[int, ParameterCheck], standard: Run | None, judge: str) -> Passed:
    """The worst of what is known of its repeats."""
    every = [found[id(run)] for run in group.runs]
    if standard in group.runs:  # its other repeats must have come to the same end, too
        every = [ParameterCheck("reference", 0.0) if one.kind == "same" else one for one in every]
    worst = max(every, key=lambda one: (_ORDER.index(one.kind), one.deviation or 0.0))
    if worst.kind == "differs":
        by = "" if worst.deviation is None else f" by {worst.deviation:.0e}, where {TOLERANCE:.0e} is allowed"
        why = worst.reason or f"its parameters differ from those of {judge}{by}"
        return Passed(f"did not compute what {judge} did: {why}", worst)
    if worst.kind == "unknown":
        return Passed(f"cannot be checked: {worst.reason}", worst)
    return Passed(None, worst)


_ORDER = ("reference", "same", "not promised", "unknown", "differs")
