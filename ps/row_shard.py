"""A server's state for a part of an embedding table, of which every push touches some rows: `Shard`, row by row.

Beside what a shard has, it knows

    changed[r]  the version that row r has been at since its last update
    pulled[w]   the version that worker w has seen

so that an answer is the rows that have changed since: under BSP the union of the step's rows, and otherwise whatever
the others have done meanwhile. Then every worker's table is the server's, as of its last answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from common.models.sparse_rows import sum_duplicate_rows
from common.types import Array, Indices, Rows, Vector
from ps.consistency import Consistency
from ps.shard import Refused, Shard

RowUpdate = Callable[[Rows, int, float], None]  # see Optimizer.step_rows
NOTHING = np.empty(0, np.int64)


class RowShard(Shard):
    """A part of a table of `width` columns. `params`, shape (rows * width,), is changed only by `update`, row by row.

    A gradient is `Rows` here, whose numbers count from the first row of this part.
    """

    def __init__(
        self,
        params: Vector,
        width: int,
        workers: Iterable[int],
        update: RowUpdate,
        consistency: Consistency,
        incarnation: int = 0,
    ) -> None:
        super().__init__(params, workers, self._apply, consistency, incarnation)
        self.width = width
        self.changed = np.zeros(params.size // width, np.int64)
        self.pulled = dict.fromkeys(self.workers, 0)
        self._update_rows = update
        self._last: Indices = NOTHING  # the rows of the last update
        self._answer = (0, 0, self._empty())  # since which version, at which, and what had changed
        self._sum = self._empty()

    def pull(self, worker: int) -> Rows:
        """The rows that have changed since `worker` last pulled, with their parameters: a copy, not to be changed."""
        since, self.pulled[worker] = self.pulled[worker], self.version
        if self._answer[:2] != (since, self.version):
            self._answer = since, self.version, self._changed_since(since)
        return self._answer[2]

    def state(self) -> dict[str, Array]:
        """As the shard's. What workers have seen is not in it: after a crash they get the whole table."""
        kept = super().state()
        partial = self._sum if self.taken else self._empty()
        return {**kept, "total": partial.values.ravel(), "rows": partial.index}

    def restore(self, state: Mapping[str, Array], incarnation: int) -> None:
        """As the shard's."""
        super().restore(state, incarnation)
        self._sum = Rows(self.width, state["rows"].copy(), state["total"].reshape(-1, self.width).copy())
        self.changed[:] = self.version
        self.pulled = dict.fromkeys(self.workers, -1)
        self._last = np.arange(self.changed.size)
        self._answer = 0, 0, self._empty()

    def _changed_since(self, version: int) -> Rows:
        if version == self.version:
            return self._empty()
        index = self._last if version == self.version - 1 else np.flatnonzero(self.changed > version)
        return Rows(self.width, index, self.params.reshape(-1, self.width)[index])

    def _apply(self, rows: Rows, step: int, damping: float) -> None:
        """One update, which makes the next version."""
        self._update_rows(rows, step, damping)
        self.changed[rows.index] = self.version + 1
        self._last = rows.index

    def _add(self, worker: int, gradient: Any) -> None:
        """Add to the sum of the open step, in the order of the calls, and close it if it is complete."""
        self._sum = together([self._sum, gradient]) if self.taken else gradient
        self.taken.append(worker)
        if self.consistency.closes(self):
            self._close(self._sum, len(self.taken))

    def _divide(self, total: Any, count: int) -> None:
        total.values = total.values / np.float32(count)

    def _refuse_another_shape(self, who: str, values: Any) -> None:
        if not isinstance(values, Rows):  # a checkpoint
            super()._refuse_another_shape(who, values)
            return
        index, rows = values.index, self.changed.size
        if values.values.shape != (index.size, self.width):
            raise Refused(f"{who} pushed values of shape {values.values.shape} for {index.size} rows of {self.width}")
        if index.size and not (index[0] >= 0 and index[-1] < rows and (index[1:] > index[:-1]).all()):
            raise Refused(f"{who} pushed rows that are not in order, or not of the {rows} that this shard has")

    def _empty(self) -> Rows:
        return Rows(self.width, NOTHING, np.empty((0, self.width), np.float32))


def together(parts: list[Rows]) -> Rows:
    """The sum of sparse gradients of one table, on the union of their rows, added up in the order given."""
    index = np.concatenate([each.index for each in parts])
    index, values = sum_duplicate_rows(index, np.concatenate([each.values for each in parts]))
    return Rows(parts[0].width, index, values)
