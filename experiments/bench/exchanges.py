"""A worker's part with one contestant: set it up, give it known numbers, exchange, compare every element.

Every vector holds a sequence of integers that repeats after a prime number of elements. So a chunk or segment of any
size that ends up in the wrong place is detected. float32 adds these integers exactly, in any order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from common.context import Context, Optimizer
from common.errors import FINISH, SETUP
from common.pipeline.update import BLOCK
from common.strategy import Bucket, SyncStrategy
from common.types import Array, Vector

PERIOD = 8191  # elements; a prime, so no power of two is a multiple of it
LARGEST_VALUE = 61


class BufferPool:
    """A benchmark's own vectors of `largest` bytes, reused in every block: transports may keep memory to the end."""

    def __init__(self, alloc: Callable[[int, DTypeLike], Array], largest: int) -> None:
        self._alloc, self._largest = alloc, largest
        self._buffers: list[Array] = []
        self._used = 0

    def begin(self) -> None:
        """Take all buffers back for a new block."""
        self._used = 0

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return zeroed memory, as `Context.alloc` does; valid until the next `begin`."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self._used == len(self._buffers):
            self._buffers.append(self._alloc(max(nbytes, self._largest), np.uint8))
        buffer = self._buffers[self._used]
        self._used += 1
        out: Array = buffer[:nbytes].view(dtype).reshape(shape)
        out.fill(0)
        return out


class SubtractGradient(Optimizer):
    """The update rule of a benchmark, exact for integers: `params -= grad`. Calls `updated` after each update."""

    def __init__(self, params: Vector, updated: Callable[[], None] = lambda: None) -> None:
        self.params, self.updated = params, updated

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update the parameters in place, in blocks as a run does."""
        for start in range(0, grad.size, BLOCK):
            self.params[start : start + BLOCK] -= grad[start : start + BLOCK]
        self.updated()


def rank_values(rank: int, step: int) -> Vector:
    """Return one period of the vector of `rank` at `step`: integers from 1 to LARGEST_VALUE, shape (PERIOD,)."""
    j = np.arange(PERIOD, dtype=np.int64) + 101 * step
    values: Vector = (j * (j + rank + 1) * (2 * rank + 3) % PERIOD % LARGEST_VALUE + 1).astype(np.float32)
    return values


def summed_values(workers: int, step: int) -> Vector:
    """Return one period of the sum over all workers, shape (PERIOD,)."""
    values: Vector = np.stack([rank_values(rank, step) for rank in range(workers)]).sum(axis=0)
    return values


def fill_periodic(x: Vector, period: Vector) -> None:
    """Fill x, in place, with repetitions of `period`, shape (PERIOD,)."""
    whole = x.size // PERIOD * PERIOD
    x[:whole].reshape(-1, PERIOD)[:] = period
    x[whole:] = period[: x.size - whole]


def count_wrong(x: Vector, period: Vector) -> int:
    """Return how many elements of x differ from the repeated `period`, shape (PERIOD,)."""
    whole = x.size // PERIOD * PERIOD
    body = np.count_nonzero(x[:whole].reshape(-1, PERIOD) != period)
    return int(body) + int(np.count_nonzero(x[whole:] != period[: x.size - whole]))


class AllReduceExchange:
    """A worker's side of an all-reduce: the sum over all workers, in place. Calls that exchange block.

    Calls come as begin, exchange…, end for each block; at the very end `close`. One strategy object serves all blocks.
    Vectors come from `pool`, which gives them to another contestant in the next block.
    """

    strategy: Any = None  # not every SyncStrategy has `all_reduce`
    x: Vector  # filled before an exchange

    def __init__(self, make: Callable[[], SyncStrategy], ctx: Context, pool: BufferPool) -> None:
        self.make, self.ctx, self.pool = make, ctx, pool

    def begin(self, size: int) -> None:
        """Get vectors of `size` float32 elements and set the strategy up."""
        self.x = self.pool.alloc(size, np.float32)
        self.set_up(self.x)

    def set_up(self, params: Vector) -> None:
        """Make the strategy and set it up with `params`, if there is none."""
        if self.strategy is None:
            self.strategy = self.make()
            self.ctx.place.step = SETUP
            self.strategy.setup(self.ctx, params)

    def fill(self, step: int) -> None:
        """Write this rank's numbers of `step` into `x`."""
        fill_periodic(self.x, rank_values(self.ctx.rank, step))

    def exchange(self) -> None:
        """Exchange once: this is timed. Returns when `x` may be written again. Zeros stay zeros."""
        self.strategy.all_reduce(self.ctx, self.x)
        self.ctx.settle()

    def wrong(self, step: int) -> int:
        """Return how many elements are wrong after the exchange of `step`. All steps before were filled, too."""
        return count_wrong(self.x, summed_values(len(self.ctx.workers), step))

    def end(self) -> None:
        """End the block."""

    def close(self) -> None:
        """End the strategy, if there is one."""
        if self.strategy is not None:
            self.ctx.place.step = FINISH
            self.strategy.finish(self.ctx)
            self.strategy = None


class AllReduceAndUpdate(AllReduceExchange):
    """The mean over all workers, in place, and the update by every worker, as a server does it."""

    params: Vector
    first = 0  # the worker whose parameters this worker begins with

    def begin(self, size: int) -> None:
        self.x, self.params = (self.pool.alloc(size, np.float32) for _ in range(2))
        fill_periodic(self.params, rank_values(self.first, 0))
        self.set_up(self.params)

    def fill(self, step: int) -> None:
        fill_periodic(self.x, len(self.ctx.workers) * rank_values(self.ctx.rank, step))

    def exchange(self) -> None:
        self.strategy.synchronize(self.ctx, Bucket(self.x, self.params))
        SubtractGradient(self.params).step(self.x)

    def wrong(self, step: int) -> int:
        updates = sum(summed_values(len(self.ctx.workers), past) for past in range(step + 1))
        return count_wrong(self.params, (rank_values(0, 0) - updates).astype(np.float32))


class ServerExchange(AllReduceAndUpdate):
    """Push and pull. Each block has its own strategy object, because the servers' lives end with the block."""

    def begin(self, size: int) -> None:
        self.first = self.ctx.rank
        super().begin(size)

    def exchange(self) -> None:
        self.strategy.synchronize(self.ctx, Bucket(self.x, self.params))

    def end(self) -> None:
        self.close()
        self.ctx.settle()
