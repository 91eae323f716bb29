"""Any number of ranks for algorithms that need a power of two (Thakur, Rabenseifner, Gropp 2005; MPICH).

Let p be the largest power of two up to n. Ranks p … n-1 hand x to rank - p, which adds it and takes part for two;
in the end they get the sum from it. (MPICH folds neighbours; this way the p that stay keep their numbers.)

    steps       2 more
    bytes sent  M by the folded ranks and, in addition to its own, by each that took part for two
    time        2(α + Mβ) + Mγ more; up to another Mβ, as ranks that stand for one send early over the same links
"""

from __future__ import annotations

from collections.abc import Callable

from common.context import Context
from common.strategy import Link
from common.types import Array


def fold(ctx: Context, x: Array, algorithm: Callable[[Context, Array], None]) -> None:
    """Sum x over all ranks, in place, by `algorithm`, which does that for a power of two of them. Blocks.

    x may still be on loan: call `ctx.settle` before changing it.
    """
    n, rank = ctx.size, ctx.rank
    p = stay(n)
    if p == n:
        algorithm(ctx, x)
    elif rank >= p:
        ctx.lend(rank - p, x)
        ctx.recv_into(rank - p, x)  # a sum that contains it
    else:
        folded = rank + p < n
        if folded:
            ctx.recv_add(rank + p, x)
        algorithm(ctx.among(range(p)), x)
        if folded:
            ctx.lend(rank + p, x)


def stay(n: int) -> int:
    """How many of n ranks are not folded: the largest power of two up to n."""
    return 1 << (n.bit_length() - 1)


def fold_bytes(rank: int, n: int, nbytes: int, own: Callable[[int], int]) -> int:
    """What `rank` sends of `nbytes` bytes, if it sends `own(p)` while it is one of p."""
    p = stay(n)
    if rank >= p:
        return nbytes
    return own(p) + (nbytes if rank + p < n else 0)


def fold_seconds(n: int, nbytes: int, link: Link) -> float:
    """What folding adds to the predicted time."""
    if n == stay(n):
        return 0.0
    return 2 * (link.alpha + nbytes * link.beta) + nbytes * link.gamma
