"""The verdict in one sentence: no ratio without its interval, and none without the absolute figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.results import human_count

if TYPE_CHECKING:
    from experiments.comparison.contest import Comparison, Contest, Entry


def verdict_sentence(comparison: Comparison) -> str:
    """One sentence over all contests."""
    if not comparison.contests:
        return "Nothing to compare: no run came to its end"
    if len(comparison.contests) == 1:
        return _capital(contest_clause(comparison.contests[0]))
    clauses = [f"{setting_words(one, comparison.axes)}: {contest_clause(one)}" for one in comparison.contests]
    return _capital("; ".join(clauses))


def _capital(text: str) -> str:
    """Labels keep their letters; a sentence of ours begins with a large one."""
    return text[:1].upper() + text[1:] if text.startswith(("no ", "nothing", "against")) else text


def setting_words(contest: Contest, axes: Any) -> str:
    """What tells a contest from the others: `4 workers`, `4 workers, link 1gbit`."""
    return ", ".join(_value(key, contest.setting[key]) for key in axes)


def _value(key: str, value: Any) -> str:
    if key == "workers":
        return "1 worker" if value == 1 else f"{value} workers"
    if isinstance(value, list | tuple):
        value = "-".join(map(str, value))
    if isinstance(value, dict):
        value = " ".join(f"{name}={part}" for name, part in value.items())
    return f"no {key}" if value is None or value == "" else f"{key} {value}"


def contest_clause(contest: Contest) -> str:
    """The verdict on one contest, as a clause."""
    base = contest.reference
    fit = [entry for entry in contest.entries if entry.refused is None and entry.rates]
    others = [entry for entry in fit if entry is not base and (entry.contends or len(fit) == 2)]
    refused = _refused([entry for entry in contest.entries if entry.refused])
    if base is None or not others:
        return f"nothing to compare with {fit[0].label if fit else 'what is here'}{refused}"
    told = {what: [one for one in others if one.finding == what] for what in ("faster", "slower", "no difference")}
    unclear = [entry for entry in others if entry.finding is None]
    if len(unclear) == len(others):
        figures = ", ".join(f"{entry.label} {human_count(entry.rate.middle)}" for entry in [base, *others])
        return f"no verdict from one repeat each ({figures} samples/s){refused}"
    parts = [f"{_ratio(one)}" for one in sorted(told["faster"], key=_by_ratio)]
    parts += [f"{_ratio(one)}" for one in sorted(told["slower"], key=_by_ratio)]
    if same := told["no difference"]:
        parts.append(f"no difference to {' and '.join(map(_absolute, same))}")
    if unclear:
        parts.append(f"no verdict on {', '.join(map(_absolute, unclear))}, run once")
    return f"against {base.label} ({human_count(base.rate.middle)} samples/s) {', '.join(parts)}{refused}"


def _by_ratio(entry: Entry) -> float:
    return -entry.ratio.middle if entry.ratio else 0.0


def _ratio(entry: Entry) -> str:
    assert entry.ratio is not None
    low, high = entry.ratio.low, entry.ratio.high
    return f"{entry.label} is {entry.finding}, {entry.ratio.middle:.2f}× ({low:.2f}–{high:.2f}) at {_rate(entry)}"


def _rate(entry: Entry) -> str:
    return human_count(entry.rate.middle)


def _absolute(entry: Entry) -> str:
    return f"{entry.label} ({_rate(entry)})"


def _refused(entries: Sequence[Entry]) -> str:
    return f"; not comparable: {', '.join(entry.label for entry in entries)}" if entries else ""
