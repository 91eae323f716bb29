"""The words of a verdict: the command line, a chart's title and the report's heading say the same sentences.

A verdict names the interval of its ratio, and the absolute figures beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.comparison.model import Comparison, Contest, Entry
from experiments.format.units import human_count
from experiments.format.words import listed, plural
from experiments.runs.labels import SETTINGS

LONGEST = 150  # characters of a title
SEVERAL = 5  # labels that are all told; of more the extremes


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


def verdict_title(contest: Contest) -> str:
    """The verdict on one contest as a title, without the entries that cannot be compared; in brief if it is long."""
    comparable = dataclasses.replace(contest, entries=tuple(one for one in contest.entries if one.refused is None))
    whole, brief = contest_clause(comparable), _brief_clause(comparable)
    _, others = _compared(comparable)
    if len(brief) > LONGEST and all(entry.finding is None for entry in others):
        return f"There is no verdict on {len(others) + 1} strategies, as that takes repeats of each"
    return _capital(whole if len(whole) <= LONGEST else brief)


def located(comparison: Comparison, lines_of: Callable[[Contest], Iterable[str]]) -> list[str]:
    """The lines about contests, each once. A line that does not hold for all contests names its own."""
    where: dict[str, list[str]] = {}
    for contest in comparison.contests:
        for line in dict.fromkeys(lines_of(contest)):
            where.setdefault(line, []).append(setting_words(contest, comparison.axes))
    everywhere = len(comparison.contests)
    return [line if len(places) == everywhere else f"{listed(places)}: {line}" for line, places in where.items()]


def _capital(text: str) -> str:
    """Labels keep their letters; a sentence of ours begins with a large one."""
    return text[:1].upper() + text[1:] if text.startswith(("there ", "against ", "no ")) else text


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


def growth(contests: Sequence[Contest]) -> str:
    """What more workers make of who contends with the fewest and with the most, the fastest of those first.

    `From 1 to 4 workers ring makes 3.7 times the samples/s, gloo 2.9`. Empty unless the number of workers is a setting
    in which these contests differ, and somebody is in both.
    """
    known = sorted((one for one in contests if one.setting.get("workers")), key=_workers)
    if not known or _workers(known[0]) == _workers(known[-1]):
        return ""
    before, after = _rates(known[0]), _rates(known[-1])
    both = sorted((label for label in after if label in before), key=lambda label: -after[label])
    times = {label: after[label] / before[label] for label in both}
    span = f"From {_workers(known[0])} to {plural(_workers(known[-1]), 'worker')}"
    return f"{span} {_makes(times)}" if times else ""


def _workers(contest: Contest) -> int:
    return int(contest.setting["workers"])


def _rates(contest: Contest) -> dict[str, float]:
    return {one.label: one.rate.middle for one in contest.entries if one.contends and one.rates and one.refused is None}


def _makes(times: Mapping[str, float]) -> str:
    if len(times) > SEVERAL:
        high, low = max(times, key=times.__getitem__), min(times, key=times.__getitem__)
        return f"the samples/s become {times[high]:.1f} ({high}) to {times[low]:.1f} ({low}) times as many"
    (first, most), *others = times.items()
    return ", ".join([f"{first} makes {most:.1f} times the samples/s", *(f"{k} {v:.1f}" for k, v in others)])


def setting_words(contest: Contest, axes: Iterable[str]) -> str:
    """What tells a contest from the others: `4 workers`, `4 workers, link 1gbit`; empty if nothing does."""
    return ", ".join(_words(axis, contest.setting.get(axis)) for axis in axes)


def _words(key: str, value: Any) -> str:
    name = key.replace("_", " ")
    if key in ("workers", "steps") and isinstance(value, int):
        return plural(value, key.removesuffix("s"))
    if key in SETTINGS and value is not None:
        return SETTINGS[key](value)
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if isinstance(value, dict):
        value = " ".join(f"{part}={its}" for part, its in value.items())
    return f"no {name}" if value is None or value == "" else f"{name} {value}"
