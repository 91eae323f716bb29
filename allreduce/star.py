"""Star: everyone sends its vector to worker 0, which adds them up in rank order and sends the sum back.

    steps       2
    bytes sent  M by every worker, (n-1)·M by worker 0
    time        2(α + (n-1)Mβ) + (n-1)Mγ: all of it goes through worker 0's link (*incast*)

The plain baseline: a parameter server that lives in a worker. Reduction order: rank 0, 1, … n-1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import Array


def star(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all ranks, in place. Blocks. `finish` is called with the parts of the sum, by rank 0.

    Rank 0 may have lent x: call `ctx.settle` before changing it.
    """
    if ctx.rank == 0:
        ctx.fast.recv_add_answer(range(1, ctx.size), x, finish)
    else:
        ctx.fast.expose(0, x)
        ctx.recv_into(0, x)


class Star(AllReduce):
    """All to worker 0, summed there, and back: the simplest all-reduce, and its incast."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        star(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        star(ctx, x, partial(divide, n=ctx.size))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int:
        return size * itemsize * ((workers - 1) if rank == 0 else 1)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        others = workers - 1
        if not others:
            return 0.0
        return 2 * (link.alpha + others * nbytes * link.beta) + others * nbytes * link.gamma
