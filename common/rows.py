"""Arithmetic on the touched rows of a table, at a cost that depends on their number and not on the table's."""

from __future__ import annotations

import numpy as np

from common.strategy import Indices, Vector


def add_up(index: Indices, values: Vector) -> tuple[Indices, Vector]:
    """Rows that are named more than once, added up: `index` (m,) int64 and `values` (m, width) to (k,) and (k, width).

    The result is in the order of the row numbers, and what is added to a row is added in the order given: the sort is
    stable. So the same input gives the same bits. Changes nothing; what is returned may share memory with it.
    """
    if index.size == 0:
        return index, values
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[first], np.add.reduceat(values[order], first, axis=0)
