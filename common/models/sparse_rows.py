"""Arithmetic on the touched rows of a table. Its cost depends on their number, not on the size of the table."""

import numpy as np

from common.types import Indices, Rows, Vector

OFTEN = 16  # occurrences of a row from which on a call of its own pays off


def merge(parts: list[Rows]) -> Rows:
    """Return the sum of sparse gradients of one table, on the union of their rows, added up in the order given."""
    index = np.concatenate([part.index for part in parts])
    return Rows(parts[0].width, *sum_duplicate_rows(index, np.concatenate([part.values for part in parts])))


def sum_duplicate_rows(index: Indices, values: Vector) -> tuple[Indices, Vector]:
    """Add up rows that occur more than once: `index` (m,) int64 and `values` (m, width) become (k,) and (k, width).

    Row numbers of the result ascend. The values of a row are added one after the other in the given order, so the sum
    of a row depends on its own values alone, bit for bit. Changes nothing; the result is a copy.
    """
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    begins = np.flatnonzero(np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])))
    count = np.diff(begins, append=ordered.size)
    total = values[order[begins]]
    # Add the second value of every row at once, then the third …: there are many rows, and few occur often.
    again = np.flatnonzero(count > 1)
    for turn in range(1, OFTEN):
        total[again] += values[order[begins[again] + turn]]
        again = again[count[again] > turn + 1]
    for row in again:
        rest = values[order[begins[row] + OFTEN : begins[row] + count[row]]]
        total[row] = np.add.accumulate(np.concatenate((total[row : row + 1], rest)), axis=0)[-1]
    return ordered[begins], total
