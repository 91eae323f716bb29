"""Arithmetic on the touched rows of a table, at a cost that depends on their number and not on the table's."""

from __future__ import annotations

import numpy as np

from common.types import Indices, Vector

OFTEN = 16  # times that a row is named: from there on it is worth a call of its own


def sum_duplicate_rows(index: Indices, values: Vector) -> tuple[Indices, Vector]:
    """Rows that are named more than once, added up: `index` (m,) int64 and `values` (m, width) to (k,) and (k, width).

    The result is in the order of the row numbers. What belongs to a row is added in the order given, one after the
    other, whatever else there is: so the same rows give the same bits. Changes nothing; the result is a copy.
    """
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    begins = np.flatnonzero(np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])))
    count = np.diff(begins, append=ordered.size)
    total = values[order[begins]]
    # The second of each row, then the third …, all rows at once: there are many rows, and few that are named often.
    again = np.flatnonzero(count > 1)
    for turn in range(1, OFTEN):
        total[again] += values[order[begins[again] + turn]]
        again = again[count[again] > turn + 1]
    for row in again:
        rest = values[order[begins[row] + OFTEN : begins[row] + count[row]]]
        total[row] = np.add.accumulate(np.concatenate((total[row : row + 1], rest)), axis=0)[-1]
    return ordered[begins], total
