"""Star: every worker sends x to worker 0, which adds them up and sends the sum back. The plain baseline.

steps       2
bytes sent  M by every worker, (n-1)·M by worker 0
time        2(α + (n-1)Mβ) + (n-1)Mγ: everything goes through the link of worker 0 (*incast*)
order       worker 0, 1, … n-1
"""

from collections.abc import Callable
from functools import partial

from allreduce.strategy import AllReduce, divide, keep
from common.context import Context
from common.strategy import Link
from common.types import FLOAT_BYTES, Array


def star(ctx: Context, x: Array, finish: Callable[[Array], None] = keep) -> None:
    """Sum x over all workers in place; worker 0 calls `finish` on parts of the sum. Blocks. x may be on loan."""
    if ctx.rank == 0:
        ctx.fast.recv_add_answer(ctx.workers[1:], x, finish)
    else:
        ctx.fast.expose(0, x)
        ctx.recv_into(0, x)


class Star(AllReduce):
    """All to worker 0, summed there, and back: the simplest all-reduce, and its incast."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        star(ctx, x)

    def mean(self, ctx: Context, x: Array) -> None:
        star(ctx, x, partial(divide, n=len(ctx.workers)))

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int:
        return FLOAT_BYTES * size * (workers - 1 if rank == 0 else 1)

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float:
        others = workers - 1
        return 2 * (link.alpha + others * nbytes * link.beta) + others * nbytes * link.gamma if others else 0.0
