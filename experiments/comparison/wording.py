"""The words of a verdict: the command line, a chart's title and the report's heading say the same sentences."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from experiments.comparison.model import Comparison, Contest, Entry
from experiments.format.units import human_count
from experiments.format.words import listed, plural
from experiments.runs.labels import SETTINGS

LONGEST = 150  # characters of a title
SEVERAL = 5  # labels of which each is named; of more only the extremes
NO_VERDICT = "there is no verdict on {}, as that takes repeats"


def verdict_sentence(comparison: Comparison) -> str:
    """Return the verdict: a sentence a contest, or growth with the workers and the verdict on the most."""
    contests, axes = comparison.contests, comparison.axes
    if not contests:
        return "There is nothing to compare, as no run came to its end."
    if len(contests) == 1:
        return f"{_capital(contest_clause(contests[0]))}."
    grown = growth(contests) if list(axes) == ["workers"] else ""
    if grown and not any(map(_refused, contests)):
        return f"{grown}. With {setting_words(contests[-1], axes)}: {contest_clause(contests[-1])}."
    clauses = [f"With {setting_words(contest, axes)}: {contest_clause(contest, extremes=True)}" for contest in contests]
    return " ".join(f"{sentence}." for sentence in [grown, *clauses] if sentence)


def verdict_title(contest: Contest) -> str:
    """Return the verdict on one contest as a title, without refused entries; it names only extremes if it is long."""
    comparable = replace(contest, entries=tuple(entry for entry in contest.entries if entry.refused is None))
    whole, short = contest_clause(comparable), contest_clause(comparable, extremes=True)
    others = _compared(comparable)
    if len(short) > LONGEST and all(entry.finding is None for entry in others):
        return f"There is no verdict on {len(others) + 1} strategies, as that takes repeats"
    return _capital(whole if len(whole) <= LONGEST else short)


def _capital(clause: str) -> str:
    """Return the clause with a capital letter, unless it begins with a label."""
    return clause[:1].upper() + clause[1:] if clause.startswith(("there ", "against ")) else clause


def contest_clause(contest: Contest, *, extremes: bool = False) -> str:
    """Return the verdict on one contest, as a clause. `extremes`: name only the fastest and the slowest entry."""
    base, others = contest.reference, _compared(contest)
    if base is None or not others:
        comparable = [entry for entry in contest.entries if entry.refused is None]
        besides = f" besides {_entries(comparable)}" if comparable else ""
        return f"there is nothing to compare{besides}{_refused(contest)}"
    faster, same, slower, unclear = (
        [entry for entry in others if entry.finding == finding]
        for finding in ("faster", "no difference", "slower", None)
    )
    if len(unclear) == len(others):
        return NO_VERDICT.format(_entries([base, *others])) + _refused(contest)
    if extremes:
        parts = [_extreme(faster), _extreme(slower[::-1])]
    else:
        parts = [_verdict(entry) for entry in (*faster, *slower)]
    parts += [f"there is no difference for {_entries(same)}"] if same else []
    parts += [NO_VERDICT.format(_entries(unclear))] if unclear else []
    return f"against {_entries([base])}, {'; '.join(filter(None, parts))}{_refused(contest)}"


def _compared(contest: Contest) -> list[Entry]:
    """Return the entries that the verdict is about, the fastest first: the ceiling only if there is no other."""
    known = [entry for entry in contest.entries if entry.refused is None and entry.rates]
    others = [entry for entry in known if entry is not contest.reference and (entry.contends or len(known) == 2)]
    return sorted(others, key=lambda entry: -entry.rate.middle)


def _extreme(entries: Sequence[Entry]) -> str:
    """Return the verdict on the first entry and the number of the others; empty without entries."""
    if not entries:
        return ""
    more = len(entries) - 1
    return _verdict(entries[0]) + (f", and so {'is' if more == 1 else 'are'} {more} more" if more else "")


def _verdict(entry: Entry) -> str:
    assert entry.ratio is not None
    low, middle, high = (f"{value:.2f}" for value in (entry.ratio.low, entry.ratio.middle, entry.ratio.high))
    ratio = f"{middle}×" if entry.ratio.low == entry.ratio.high else f"{middle}× ({low}–{high})"
    return f"{entry.label} is {entry.finding}, {ratio} at {_rate(entry)}"


def _rate(entry: Entry) -> str:
    return f"{human_count(entry.rate.middle)} samples/s" if entry.rates else "no throughput"


def _entries(entries: Sequence[Entry]) -> str:
    return listed([f"{entry.label} ({_rate(entry)})" for entry in entries])


def _refused(contest: Contest) -> str:
    labels = [entry.label for entry in contest.entries if entry.refused]
    return f" ({listed(labels)} cannot be compared)" if labels else ""


def located(comparison: Comparison, lines_of: Callable[[Contest], Iterable[str]]) -> list[str]:
    """Return the lines of all contests, each once. A line that is not about all contests names its own."""
    settings: dict[str, list[str]] = {}
    for contest in comparison.contests:
        for line in dict.fromkeys(lines_of(contest)):
            settings.setdefault(line, []).append(setting_words(contest, comparison.axes))
    everywhere = len(comparison.contests)
    return [line if len(places) == everywhere else f"{listed(places)}: {line}" for line, places in settings.items()]


def growth(contests: Sequence[Contest]) -> str:
    """Return the factors by which throughput grows from the fewest to the most workers, the fastest strategy first.

    `From 1 to 4 workers ring makes 3.7 times the samples/s, gloo 2.9`. Empty unless the number of workers differs
    between these contests, and a strategy contends in both.
    """
    known = sorted(contests, key=_workers)
    before, after = _rates(known[0]), _rates(known[-1])
    both = sorted((label for label in after if label in before), key=lambda label: -after[label])
    if not both or _workers(known[0]) == _workers(known[-1]):
        return ""
    times = {label: after[label] / before[label] for label in both}
    span = f"From {_workers(known[0])} to {plural(_workers(known[-1]), 'worker')}"
    if len(times) > SEVERAL:
        high, low = max(times, key=times.__getitem__), min(times, key=times.__getitem__)
        return f"{span} the samples/s become {times[high]:.1f} ({high}) to {times[low]:.1f} ({low}) times as many"
    (first, most), *others = times.items()
    rest = [f"{label} {factor:.1f}" for label, factor in others]
    return f"{span} {', '.join([f'{first} makes {most:.1f} times the samples/s', *rest])}"


def _workers(contest: Contest) -> int:
    return int(contest.setting["workers"])


def _rates(contest: Contest) -> dict[str, float]:
    return {one.label: one.rate.middle for one in contest.entries if one.contends and one.rates and one.refused is None}


def setting_words(contest: Contest, axes: Iterable[str]) -> str:
    """Return what tells a contest from the others: `4 workers`, `4 workers, link 1gbit`; empty without `axes`."""
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
        value = " ".join(f"{part}={setting}" for part, setting in value.items())
    return f"no {name}" if value is None or value == "" else f"{name} {value}"
