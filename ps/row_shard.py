"""A server's part of an embedding table, of which every push touches some rows: `Shard`, row by row.

In addition to a shard's state it keeps

    changed[r]  the version after the last update of row r
    pulled[w]   the version that worker w has seen

so an answer holds the rows that have changed since: under BSP the union of the step's rows, otherwise also the rows
that other workers have changed meanwhile. After each answer a worker's table equals the server's.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from common.models.sparse_rows import merge
from common.types import Array, Indices, Rows, Vector
from ps.consistency import Consistency
from ps.shard import Refused, Shard

RowUpdate = Callable[[Rows, int, float], None]  # see Optimizer.step_rows


class RowShard(Shard):
    """A part of a table of `width` columns. `params`, shape (rows * width,), is changed by `update` row by row.

    A gradient is `Rows`, whose numbers count from the first row of this part.
    """

    def __init__(
        self, params: Vector, width: int, workers: Iterable[int], update: RowUpdate, consistency: Consistency
    ) -> None:
        super().__init__(params, workers, self._apply, consistency)
        self.width = width
        self.changed = np.zeros(params.size // width, np.int64)
        self.pulled = dict.fromkeys(self.workers, 0)
        self._update_rows = update
        self._last: Indices = np.empty(0, np.int64)  # the rows of the last update
        self._nothing = Rows(width, self._last, np.empty((0, width), np.float32))
        self._answer = (0, 0, self._nothing)  # from which version, to which, and the rows that changed
        self._sum = self._nothing

    def pull(self, worker: int) -> Rows:
        """Return a copy of the rows that have changed since `worker` last pulled; the caller must not change it."""
        since, self.pulled[worker] = self.pulled[worker], self.version
        if self._answer[:2] != (since, self.version):
            index = self._last if since == self.version - 1 else np.flatnonzero(self.changed > since)
            rows = Rows(self.width, index, self.params.reshape(-1, self.width)[index])
            self._answer = since, self.version, rows
        return self._answer[2]

    def state(self) -> dict[str, Array]:
        """As of a shard. `pulled` is left out: after a server's death the workers get the whole table."""
        partial = self._sum if self.taken else self._nothing
        return {**super().state(), "total": partial.values.ravel(), "rows": partial.index}

    def restore(self, state: Mapping[str, Array]) -> None:
        super().restore(state)
        self._sum = Rows(self.width, state["rows"].copy(), state["total"].reshape(-1, self.width).copy())
        self.changed[:] = self.version
        self.pulled = dict.fromkeys(self.workers, -1)
        self._last = np.arange(self.changed.size)
        self._answer = 0, 0, self._nothing

    def _apply(self, rows: Rows, step: int, damping: float) -> None:
        """Update once, which makes the next version."""
        self._update_rows(rows, step, damping)
        self.changed[rows.index] = self.version + 1
        self._last = rows.index

    def _add(self, worker: int, gradient: Any) -> None:
        self._sum = merge([self._sum, gradient]) if self.taken else gradient
        self.taken.append(worker)
        if self.consistency.closes(self):
            self._close(self._sum, len(self.taken))

    def _divide(self, total: Any, count: int) -> None:
        total.values = total.values / np.float32(count)

    def _check_shape(self, origin: str, values: Any) -> None:
        if not isinstance(values, Rows):  # a checkpoint
            super()._check_shape(origin, values)
            return
        index, rows, shape = values.index, self.changed.size, values.values.shape
        if shape != (index.size, self.width):
            raise Refused(f"{origin} values of shape {shape} for {index.size} rows of {self.width}")
        if index.size and not (index[0] >= 0 and index[-1] < rows and (index[1:] > index[:-1]).all()):
            raise Refused(f"{origin} rows that are not in order, or not of the {rows} that this shard has")
