"""Several runs of the same thing: the one in the middle stands for all, and their spread says what it is worth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from common.errors import CheckFailed
from experiments.labels import labels
from experiments.results import Run

Rates = Mapping[str, Sequence[float]]  # samples/s of each repeat, by label


def medians(runs: Sequence[Run]) -> tuple[list[Run], dict[str, list[float]]]:
    """Of runs of the same settings the one with the (lower) median throughput, in order of first appearance; and all
    rates."""
    ranked = {
        name: sorted(group, key=lambda run: run.number("samples_per_second") or 0.0)
        for name, group in alike(runs).items()
    }
    rates = {name: [run.number("samples_per_second") or 0.0 for run in group] for name, group in ranked.items()}
    return [group[(len(group) - 1) // 2] for group in ranked.values()], rates


def alike(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of the same settings, by the label that they share, in order of first appearance."""
    groups: dict[str, list[Run]] = {}
    for run, label in zip(runs, labels(runs), strict=True):
        groups.setdefault(re.sub(r" #\d+$", "", label), []).append(run)
    return groups


def same_bits(runs: Sequence[Run]) -> None:
    """Raises CheckFailed unless all repeats of a strategy ended with the same bits."""
    first: dict[str, Sequence[str]] = {}
    for run in runs:
        hashes = run.summary["params_sha256"]
        if first.setdefault(run.strategy, hashes) != hashes:
            raise CheckFailed(f"{run.strategy}: the same command gave other bits the second time, in {run.path}")


def clear_winner(rates: Rates, best: str) -> bool:
    """Whether every repeat of `best` was faster than every repeat of each other strategy in `rates`."""
    return all(min(rates[best]) > max(all_) for name, all_ in rates.items() if name != best)
