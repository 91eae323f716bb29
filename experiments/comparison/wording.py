"""The verdict in words: none without the interval of its ratio, and without the absolute figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.comparison.growth import growth
from experiments.comparison.setting import setting_words
from experiments.format.units import human_count
from experiments.runs.describe import listed

if TYPE_CHECKING:
    from experiments.comparison.model import Comparison, Contest, Entry


def verdict_sentence(comparison: Comparison) -> str:
    """One sentence on one contest; of several one on each. Each has its full stop.

    Where they differ in workers alone, what more workers make of it, and then the verdict on the most of them, unless
    somebody cannot be compared.
    """
    if not comparison.contests:
        return "There is nothing to compare, as no run came to its end."
    if len(comparison.contests) == 1:
        return _capital(contest_clause(comparison.contests[0])) + "."
    grown = growth(comparison.contests) if list(comparison.axes) == ["workers"] else ""
    if grown and not any(map(_refused, comparison.contests)):
        most = comparison.contests[-1]
        return f"{grown}. With {setting_words(most, comparison.axes)}: {contest_clause(most)}."
    clauses = [f"{setting_words(one, comparison.axes)}: {_brief_clause(one)}" for one in comparison.contests]
    return " ".join(f"{sentence}." for sentence in [grown, *clauses] if sentence)


def _capital(text: str) -> str:
    """Labels keep their letters; a sentence of ours begins with a large one."""
    return text[:1].upper() + text[1:] if text.startswith(("there ", "against ")) else text


def contest_clause(contest: Contest) -> str:
    """The whole verdict on one contest, as a clause."""
    base, others = _compared(contest)
    if base is None or not others:
        return _nothing(contest)
    if all(entry.finding is None for entry in others):
        return _unclear(contest)
    parts = [_ratio(one) for one in others if one.finding in ("faster", "slower")]
    if same := [one for one in others if one.finding == "no difference"]:
        parts.append(f"there is no difference for {_listed(same)}")
    if unclear := [one for one in others if one.finding is None]:
        parts.append(f"there is no verdict on {_listed(unclear)}, as that takes repeats")
    return f"against {_absolute(base)}, {_joined(parts)}{_refused(contest)}"


def _joined(clauses: Sequence[str]) -> str:
    """Clauses that have commas and an `and` of their own."""
    return ", and ".join(part for part in (", ".join(clauses[:-1]), *clauses[-1:]) if part)


def _brief_clause(contest: Contest) -> str:
    """Of a contest among several: who is ahead of the baseline, who is level with it, and who is behind."""
    base, others = _compared(contest)
    if base is None or not others:
        return _nothing(contest)
    if all(entry.finding is None for entry in others):
        return _unclear(contest)
    ahead, same, behind, unclear = (
        [one for one in others if one.finding == finding] for finding in ("faster", "no difference", "slower", None)
    )
    parts = [_outstanding(ahead[0], ahead, base)] if ahead else []
    if same:
        told = _listed(same)
        parts.append(f"no difference for {told}" if ahead else f"{told} against {_absolute(base)}: no difference")
    if behind:
        parts.append(_outstanding(behind[-1], behind, None if ahead or same else base))
    parts += [f"no verdict on {_listed(unclear)}, as that takes repeats"] if unclear else []
    return "; ".join(parts) + _refused(contest)


def _outstanding(entry: Entry, alike: Sequence[Entry], base: Entry | None) -> str:
    """The most extreme of those with one finding, against the baseline where it was not named yet."""
    against = f" against {_absolute(base)}" if base else ""
    count = len(alike) - 1
    return _ratio(entry) + against + (f", and so {'is' if count == 1 else 'are'} {count} more" if count else "")


def _compared(contest: Contest) -> tuple[Entry | None, list[Entry]]:
    """The baseline, and whom the verdict is about, the fastest first: not the ceiling, unless nobody else is there."""
    fit = [one for one in contest.entries if one.refused is None and one.rates]
    base = contest.reference
    others = [one for one in fit if one is not base and (one.contends or len(fit) == 2)]
    return base, sorted(others, key=lambda one: -one.rate.middle)


def _nothing(contest: Contest) -> str:
    fit = [one for one in contest.entries if one.refused is None]
    return "there is nothing to compare" + (f" besides {_listed(fit)}" if fit else "") + _refused(contest)


def _unclear(contest: Contest) -> str:
    base, others = _compared(contest)
    known = [base, *others] if base else others
    return f"there is no verdict on {_listed(known)}, as that takes repeats of each{_refused(contest)}"


def _ratio(entry: Entry) -> str:
    assert entry.ratio is not None
    low, middle, high = (f"{value:.2f}" for value in (entry.ratio.low, entry.ratio.middle, entry.ratio.high))
    span = "" if entry.ratio.low == entry.ratio.high else f" ({low}–{high})"
    return f"{entry.label} is {entry.finding}, {middle}×{span} at {_rate(entry)}"


def _rate(entry: Entry) -> str:
    return f"{human_count(entry.rate.middle)} samples/s" if entry.rates else "no throughput"


def _absolute(entry: Entry) -> str:
    return f"{entry.label} ({_rate(entry)})"


def _listed(entries: Sequence[Entry]) -> str:
    return listed([_absolute(entry) for entry in entries])


def _refused(contest: Contest) -> str:
    names = [entry.label for entry in contest.entries if entry.refused]
    return f" ({listed(names)} cannot be compared)" if names else ""
