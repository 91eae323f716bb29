"""Buckets: the contiguous pieces of the flat gradient that are synchronised one by one, in the order of backward.

Backward fills the gradient from the last layer to the first, so the first bucket is the end of the vector. Where the
buckets lie follows from the sizes of the tensors and of a bucket alone: all ranks, servers too, have the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.strategy import Bucket, Vector

ELEMENT = 4  # bytes of a float32


def layout(sizes: Sequence[int], nbytes: int) -> list[slice]:
    """Where the buckets lie in a flat vector of tensors of `sizes` elements: the last tensors come first.

    Every bucket is whole tensors, as many as fit into `nbytes` bytes; a tensor larger than that is a bucket of its
    own. There is always one bucket at least, be it empty.
    """
    stop = low = sum(sizes)
    pieces = []
    for size in reversed(sizes):
        if low < stop and (stop - low + size) * ELEMENT > nbytes:
            pieces.append(slice(low, stop))
            stop = low
        low -= size
    return [*pieces, slice(low, stop)]


def cut(grad: Vector, params: Vector, pieces: Sequence[slice]) -> list[Bucket]:
    """The pieces of a flat gradient and flat parameters, both shape (size,), as buckets: views of them."""
    return [Bucket(grad[piece], params[piece], index, piece.start) for index, piece in enumerate(pieces)]
