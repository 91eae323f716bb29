"""How throughput grows with the number of workers, in one sentence: for the verdict on a sweep, and over its chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.runs.describe import plural

if TYPE_CHECKING:
    from experiments.comparison.model import Contest

SEVERAL = 5  # labels that are all told; of more the extremes


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
