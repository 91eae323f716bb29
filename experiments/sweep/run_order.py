"""In which order the cells take their turns."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from experiments.sweep.grid import FAULTS, Cell
from experiments.sweep.spec import SERVERS_ONLY

# Settings that contestants of one contest may differ in; what differs in another is in another contest.
OWN_WAYS = (*SERVERS_ONLY, *FAULTS, "transport", "bucket", "overlap", "interface")
Turn = tuple[Cell, int]  # a cell and which of its repeats, from 1


def turns(cells: Sequence[Cell], repeats: int) -> list[Turn]:
    """Every cell `repeats` times: repeat 1 of all, then repeat 2 of all, … (A B A B …, never A A B B).

    Those that will be compared with each other stand together, so that a machine whose speed drifts is unfair to none
    of them; in each repeat another one goes first, so that none owes anything to its place. The order is drawn once,
    by a fixed seed: the same cells give the same order, which is how a stopped sweep finds its place.
    """
    contests = [_drawn(group) for group in _contests(cells)]
    return [
        (cell, repeat + 1)
        for repeat in range(repeats)
        for contest in contests
        for cell in itertools.chain(contest[repeat % len(contest) :], contest[: repeat % len(contest)])
    ]


def _drawn(group: Sequence[Cell]) -> list[Cell]:
    return random.Random(group[0].id).sample(group, len(group))


def _contests(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells by everything that contestants share. Ranks' threads come first: changing them takes seconds."""
    groups: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.plan.job.threads):
        shared = {key: value for key, value in cell.settings.items() if key not in OWN_WAYS}
        groups.setdefault(repr(sorted(shared.items(), key=lambda item: item[0])), []).append(cell)
    yield from groups.values()
