"""From algorithm to strategy: sum the gradient over the workers in place, then divide by their number.

Words used in this folder: n is the number of workers; x is the vector, of M bytes; a *chunk* is a contiguous piece of
x. `ctx.lend` sends without a copy, so an algorithm may write to what it lent only once a message proves that it was
read.
"""

from abc import abstractmethod

import numpy as np

from allreduce.broadcast import broadcast
from common.context import Context
from common.strategy import Bucket, SyncStrategy
from common.types import Array, Vector


class AllReduce(SyncStrategy):
    """A synchronous strategy made of one all-reduce algorithm; all replicas stay bitwise equal."""

    @abstractmethod
    def all_reduce(self, ctx: Context, x: Array) -> None:
        """Replace x, shape (size,), by its sum over all workers, the same bits on each. In place; blocks.

        Parts of x may still be on loan when it returns: call `ctx.settle` before changing x.
        """

    def mean(self, ctx: Context, x: Array) -> None:
        """Replace x by its mean over all workers, the same bits on each. In place; blocks; x may still be on loan.

        An algorithm in which each chunk has one owner overrides this: the owner divides, once for all workers.
        """
        self.all_reduce(ctx, x)
        ctx.settle()
        divide(x, len(ctx.workers))

    def setup(self, ctx: Context, params: Vector) -> None:
        """Give every worker the parameters of worker 0."""
        broadcast(ctx, params)
        ctx.settle()

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Leave the mean gradient in `bucket.grad`."""
        self.mean(ctx, bucket.grad)
        ctx.settle()


def divide(x: Array, n: int) -> None:
    """Divide x, floats of any shape, by n, in place."""
    np.divide(x, x.dtype.type(n), out=x)


def keep(x: Array) -> None:
    """Leave a finished sum as it is."""
