"""Adding up vectors block by block: each block is finished while it is in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from common.types import Array

BLOCK = 1 << 17  # bytes: a block of each of a few vectors fits the cache that a core has for itself


def leave(block: Array) -> None:
    """Change nothing."""


def add_up(
    terms: Sequence[Array], out: Array, finish: Callable[[Array], None] = leave, copies: Sequence[Array] = ()
) -> None:
    """`out` is the sum of `terms`, one at least, in that order, and `copies` are copies of it.

    All are flat, of one size and dtype. `out` may be the first of the terms, and copies may be terms, too. `finish` is
    called with each block of the sum before it is copied, and may change it.
    """
    first, *rest = terms
    size = BLOCK // out.itemsize
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
