"""Buckets: the contiguous pieces of the flat gradient that are synchronised one by one, in the order of backward.

Backward fills the gradient from the last layer to the first, so the first bucket is the end of the vector. Where the
buckets lie follows from the sizes of the tensors and of a bucket alone: all ranks, servers too, have the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.strategy import Bucket
from common.types import Rows, Vector

ELEMENT = 4  # bytes of a float32


def bucket_slices(sizes: Sequence[int], nbytes: int, table: int = 0) -> list[slice]:
    """Where the buckets lie in a flat vector of tensors of `sizes` elements: the last tensors come first.

    Every bucket is whole tensors, as many as fit into `nbytes` bytes; a tensor larger than that is a bucket of its
    own. There is always one bucket at least, be it empty. A `table`, elements of a first tensor whose gradient is
    sparse, is a bucket of its own and the last, after those of the others, of which there is one at least, too.
    """
    if table:
        rest = bucket_slices(sizes[1:], nbytes)
        return [*(slice(table + piece.start, table + piece.stop) for piece in rest), slice(0, table)]
    stop = low = sum(sizes)
    pieces = []
    for size in reversed(sizes):
        if size and low < stop and (stop - low + size) * ELEMENT > nbytes:
            pieces.append(slice(low, stop))
            stop = low
        low -= size
    return [*pieces, slice(low, stop)]


def make_buckets(grad: Vector, params: Vector, pieces: Sequence[slice], rows: Rows | None = None) -> list[Bucket]:
    """The pieces of a flat gradient and flat parameters, both shape (size,), as buckets: views of them.

    With `rows`, the last piece is the table that they are the gradient of, and `grad` is that of all else.
    """
    if rows is None:
        return [Bucket(grad[piece], params[piece], index, piece.start) for index, piece in enumerate(pieces)]
    *others, table = pieces
    parts = [grad[piece.start - table.stop : piece.stop - table.stop] for piece in others]
    dense = [Bucket(part, params[at], i, at.start) for i, (part, at) in enumerate(zip(parts, others, strict=True))]
    return [*dense, Bucket(grad[:0], params[table], len(others), table.start, rows)]
