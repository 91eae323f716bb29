"""Titles of charts: sentences about the numbers shown, which claim no more than these show."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from experiments.format.units import human_bytes, human_count
from experiments.format.words import listed, plural

MOST_NAMED = 4  # figures, or labels of one figure, in a title


def synchronisation(shares: Mapping[str, float]) -> str:
    """Give the range of the share of `synchronize` in a step, from the shares by label."""
    if not shares:
        return "Where the time of a step goes"
    low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    least, most = f"{shares[low]:.0%}", f"{shares[high]:.0%}"
    return f"Synchronisation takes {least if least == most else f'{least} ({low}) to {most} ({high})'} of a step"


def learning(final: Mapping[str, float], synchronous: bool) -> str:
    """Say whether the final losses by label agree, and which are lowest and highest; `synchronous`: all are."""
    if len(final) < 2:
        return "Loss against samples seen"
    best, worst = min(final, key=final.__getitem__), max(final, key=final.__getitem__)
    alike = sum(loss <= 1.02 * final[best] for loss in final.values())
    if alike == len(final):
        return f"From the same samples all {'synchronous ' * synchronous}strategies reach the same loss"
    who = f"{best} reaches" if alike == 1 else f"{alike} of {len(final)} reach"
    return f"From the same samples {who} a loss of {final[best]:.3g}, {worst} {final[worst]:.3g}"


def hub(servers: Sequence[float], workers: Sequence[float]) -> tuple[float, str]:
    """Return how many times the others' median the busiest rank sends, and a few words on it. Bytes a step."""
    every = sorted([*servers, *workers])
    *others, top = every
    usual = median(others or [top])
    if top == 0:
        return 1.0, "nothing"
    if top <= 1.05 * every[0]:
        return 1.0, f"{human_bytes(top)} each" if others else human_bytes(top)
    busy = [sum(top <= 1.05 * sent for sent in each) for each in (servers, workers)]
    return (top / usual if usual else math.inf), _busiest(every, *busy)


def _busiest(every: Sequence[float], servers: int, workers: int) -> str:
    """`2 workers: 37.6 KiB each, 2.0× the others`, if so many `servers` and `workers` are the busiest."""
    count, top = servers + workers, every[-1]
    who = "process" if servers and workers else "server" if servers else "worker"
    name = who if count == 1 else f"{count} {who}{'es' if who == 'process' else 's'}"
    words = f"{name}: {human_bytes(top)}{'' if count == 1 else ' each'}"
    rest = every[: len(every) - count]
    if not (usual := median(rest)):
        return words
    alike = rest[-1] <= 1.05 * rest[0]
    return f"{words}, {top / usual:.1f}× {'the others' if alike else 'the median of the others'}"


def hubs(ratios: Mapping[str, float]) -> str:
    """Name the labels that have a hub, the busiest first, and one that has none, from the ratios of `hub`."""
    high = sorted((label for label in ratios if ratios[label] >= 1.5), key=lambda label: -ratios[label])
    if not high:
        return "No hub: every process sends about as much as the others"
    even = next((label for label, ratio in ratios.items() if ratio < 1.1), "")
    alike: dict[str, list[str]] = {}
    for label in high:
        alike.setdefault(f"{ratios[label]:.1f}×" if math.isfinite(ratios[label]) else "far more", []).append(label)
    parts = [
        f"{times}{'' if place else ' than others do' if times == 'far more' else ' what others do'} in {listed(labels)}"
        for place, (times, labels) in enumerate(alike.items())
    ]
    if len(parts) > MOST_NAMED:
        parts = [*parts[: MOST_NAMED - 1], "less in others"]
    last = ", and" if max(map(len, alike.values())) > 1 else " and"  # that of a group is another one
    return f"The busiest process sends {listed(parts, last)}" + (f"; {even} has no hub" if even else "")


def stale(most: Mapping[str, int], unit: str = "step") -> str:
    """Name the labels with the most and the least stale updates, in steps or updates; at least one update is stale."""
    high = max(most.values())
    worst, least = max(most, key=most.__getitem__), min(most, key=most.__getitem__)
    line = f"Gradients of {worst} were applied up to {plural(high, unit)} late"
    return line + (f", those of {least} up to {most[least]}" if most[least] < high else "")


def straggler_cost(rates: Mapping[str, float], base: str) -> str:
    """Compare samples/s by label beside a straggler with those of `base`, which waits for it."""
    ratios = {label: rate / rates[base] for label, rate in rates.items() if label != base}
    ahead = sorted((label for label, ratio in ratios.items() if ratio >= 1.05), key=lambda label: -ratios[label])
    level = [label for label, ratio in ratios.items() if ratio < 1.05]
    if not ahead:
        return f"Beside a straggler nothing beats {base}: {human_count(rates[base])} samples/s"
    first, *more = (f"{ratios[label]:.1f}×" for label in ahead)
    parts = [f"{ahead[0]} makes {first}", *(f"{label} {times}" for label, times in zip(ahead[1:], more, strict=True))]
    line = f"{listed(parts)} the samples/s of {base}"
    return line + (f"; {listed(level)} {'makes' if len(level) == 1 else 'make'} no more" if level else "")
