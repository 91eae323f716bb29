"""Buckets: contiguous slices of the flat gradient, synchronised one by one in the order of backward.

Backward fills the gradient from the last layer to the first, so the first bucket is the end of the vector. The slices
depend only on the sizes of the tensors and of a bucket, so all workers and servers compute the same ones.
"""

from collections.abc import Sequence

from common.strategy import Bucket
from common.types import FLOAT_BYTES, Rows, Vector


def bucket_slices(sizes: Sequence[int], nbytes: int, table: int = 0) -> list[slice]:
    """Return the buckets' slices of a flat vector with tensors of `sizes` elements, last tensors first.

    A bucket holds as many whole tensors as fit into `nbytes` bytes; a larger tensor is a bucket of its own. An empty
    vector is one empty bucket. `table` > 0: the first tensor, of `table` elements, has a sparse gradient. It becomes a
    bucket of its own, the last one, after at least one bucket (possibly empty) for the other tensors.
    """
    if table:
        dense = bucket_slices(sizes[1:], nbytes)
        return [*(slice(table + piece.start, table + piece.stop) for piece in dense), slice(0, table)]
    stop = low = sum(sizes)
    pieces = []
    for size in reversed(sizes):
        if size and low < stop and (stop - low + size) * FLOAT_BYTES > nbytes:
            pieces.append(slice(low, stop))
            stop = low
        low -= size
    return [*pieces, slice(low, stop)]


def make_buckets(grad: Vector, params: Vector, pieces: Sequence[slice], rows: Rows | None = None) -> list[Bucket]:
    """Return the buckets of a flat gradient and flat parameters, both of shape (size,), as views of them.

    With `rows`, the last slice is the table that `rows` is the gradient of, and `grad` covers all other tensors.
    """
    if rows is None:
        return [Bucket(grad[piece], params[piece], index, piece.start) for index, piece in enumerate(pieces)]
    *others, table = pieces
    dense = [
        Bucket(grad[piece.start - table.stop : piece.stop - table.stop], params[piece], index, piece.start)
        for index, piece in enumerate(others)
    ]
    return [*dense, Bucket(grad[:0], params[table], len(others), table.start, rows)]
