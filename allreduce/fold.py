"""Any number of workers for algorithms that need a power of two (Thakur, Rabenseifner, Gropp 2005; MPICH).

Let p be the largest power of two up to n. The workers p … n-1 are *folded*: worker r hands its x to worker r - p, which
adds it, takes part for both and returns the sum at the end. (MPICH folds neighbours. This way the p workers that stay
keep their numbers.)

    steps       2 more
    bytes sent  M by a folded worker, and M more by each worker that takes part for two
    time        2(α + Mβ) + Mγ more; up to another Mβ, as the others send early over the same links
"""

from collections.abc import Callable

from common.context import Context
from common.strategy import Link
from common.types import Array


def fold(ctx: Context, x: Array, algorithm: Callable[[Context, Array], None]) -> None:
    """Sum x over all workers in place by `algorithm`, which needs a power of two. Blocks. x may still be on loan."""
    n, rank = len(ctx.workers), ctx.rank
    p = largest_power_of_two(n)
    if p == n:
        algorithm(ctx, x)
    elif rank >= p:
        ctx.lend(rank - p, x)
        ctx.recv_into(rank - p, x)  # a sum that contains it
    else:
        stands_for_two = rank + p < n
        if stands_for_two:
            ctx.recv_add(rank + p, x)
        algorithm(ctx.among(range(p)), x)
        if stands_for_two:
            ctx.lend(rank + p, x)


def largest_power_of_two(n: int) -> int:
    """Return the largest power of two up to n: how many of n workers are not folded."""
    return 1 << (n.bit_length() - 1)


def fold_bytes(rank: int, n: int, nbytes: int, own: Callable[[int], int]) -> int:
    """Return what `rank` sends of `nbytes` bytes, if it sends `own(p)` as one of p workers."""
    p = largest_power_of_two(n)
    if rank >= p:
        return nbytes
    return own(p) + (nbytes if rank + p < n else 0)


def fold_seconds(n: int, nbytes: int, link: Link) -> float:
    """Return what folding adds to the predicted time."""
    if n == largest_power_of_two(n):
        return 0.0
    return 2 * (link.alpha + nbytes * link.beta) + nbytes * link.gamma
