"""The order in which the cells take their turns."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from experiments.sweep.grid import FAULTS, Cell
from experiments.sweep.spec import SERVERS_ONLY

# Settings in which contestants of one contest may differ. Cells that differ in other settings are different contests.
FREE_SETTINGS = (*SERVERS_ONLY, *FAULTS, "transport", "bucket", "overlap", "interface")
Turn = tuple[Cell, int]  # a cell and which of its repeats, from 1


def turns(cells: Sequence[Cell], repeats: int) -> list[Turn]:
    """Return every cell `repeats` times: repeat 1 of all, then repeat 2 of all, … (A B A B …, never A A B B).

    Cells that will be compared with each other stand together, so that a machine whose speed drifts is fair to them.
    In each repeat another cell goes first, so that its place favours none. The order is drawn with a fixed seed: the
    same cells give the same order, so that a stopped sweep can be resumed.
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
    """Yield the cells of each contest. Cells with equally many threads stand together: a change takes seconds."""
    groups: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.plan.job.threads):
        shared = {key: value for key, value in cell.settings.items() if key not in FREE_SETTINGS}
        groups.setdefault(repr(sorted(shared.items(), key=lambda item: item[0])), []).append(cell)
    yield from groups.values()
