"""Sums of vectors, block by block: each block is finished while it is in the cache."""

from collections.abc import Callable, Sequence

import numpy as np

from common.types import Array

BLOCK_BYTES = 1 << 17  # one block of each of a few vectors fits a core's own cache


def unchanged(block: Array) -> None:
    """Finish a block without changing it."""


def add_up(
    terms: Sequence[Array], out: Array, finish: Callable[[Array], None] = unchanged, copies: Sequence[Array] = ()
) -> None:
    """Write the sum of `terms`, at least one, in this order, to `out`, and a copy of it to each of `copies`.

    All arrays are flat, of one size and dtype. `out` may be the first term, and terms may also be in `copies`. `finish`
    is called with each block of the sum before the block is copied, and may change it.
    """
    first, *rest = terms
    size = BLOCK_BYTES // out.itemsize
    for start in range(0, out.size, size):
        part = slice(start, start + size)
        target, total = out[part], first[part]
        for term in rest:
            total = np.add(total, term[part], target)
        if not rest:
            target[:] = total
        finish(target)
        for copy in copies:
            copy[part] = target
