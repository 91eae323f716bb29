"""A trial: one run of a strategy in virtual time, which the checks of the conformance suite look at."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from common.context import Context, Optimizer
from common.errors import FINISH
from common.simulate import Outcome, simulate
from common.strategy import Bucket, Link, SyncStrategy
from common.transport.virtual.network import Fault, Network
from common.types import Array, Rows, Vector

LINK = Link(alpha=1e-3, beta=1e-8, gamma=1e-9)
NETWORK = Network(latency=LINK.alpha, bandwidth=1 / LINK.beta, reduce=LINK.gamma)
GRAD, PARAMS = 0, 1


class SGD(Optimizer):
    """Stage 6 as plain NumPy: `params -= rate * grad`."""

    def __init__(self, params: Vector, rate: float = 0.125) -> None:
        self.params, self.rate = params, rate

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update `params` in place."""
        self.params -= self.rate * damping * grad

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """Update some rows of `params` in place."""
        self.params.reshape(-1, rows.width)[rows.index] -= self.rate * damping * rows.values


def whole_gradient(rank: int, step: int, size: int) -> Vector:
    """Return a gradient of small positive integers, shape (size,): float32 adds them up exactly, in any order."""
    return ((np.arange(size) * (2 * rank + 3) + 7 * step + rank) % 61 + 1).astype(np.float32)


def rough_gradient(rank: int, step: int, size: int) -> Vector:
    """Return a random gradient, shape (size,): the bits of its sum depend on the order of the additions."""
    return np.random.default_rng((rank, step)).standard_normal(size, np.float32)


def first_params(rank: int, size: int) -> Vector:
    """Return the parameters that a worker starts with, shape (size,): different on each worker."""
    return (np.arange(size) % 50 + 100 * (rank + 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a strategy, and all that decides its outcome. `train` gives the seconds of stage 4 of a step."""

    make: Callable[[], SyncStrategy]
    workers: int
    servers: int
    size: int
    optimizer: Callable[[Vector], Optimizer]
    gradient: Callable[[int, int, int], Vector] = whole_gradient
    buckets: int = 1
    steps: int = 3
    network: Network = NETWORK
    faults: tuple[Fault, ...] = ()
    train: Callable[[Context, int], float] = lambda ctx, step: 0.0

    def __str__(self) -> str:
        counts = f"workers={self.workers} servers={self.servers} size={self.size} buckets={self.buckets}"
        return f"{type(self.make()).__name__}, {counts}"

    @property
    def edges(self) -> list[int]:
        """The boundaries of the buckets, which have different sizes."""
        return [self.size * i * i // self.buckets**2 for i in range(self.buckets + 1)]

    def cut(self, grad: Vector, params: Vector) -> list[Bucket]:
        """Return the buckets of a step, views of gradient and parameters; the end of the vectors comes first."""
        pieces = [slice(low, high) for low, high in pairwise(self.edges)]
        return [Bucket(grad[piece], params[piece], index, piece.start) for index, piece in enumerate(reversed(pieces))]

    def run(self) -> Outcome:
        """Run the trial; ranks may fail only if it has faults. A worker's result is that of `work`, a server's None."""
        strategies = [self.make() for _ in range(self.workers + self.servers)]

        def program(ctx: Context) -> Array | None:
            if ctx.rank in ctx.workers:
                return work(self, ctx, strategies[ctx.rank])
            grad, params = ctx.alloc(self.size, np.float32), ctx.alloc(self.size, np.float32)
            params[:] = np.nan
            strategies[ctx.rank].serve(ctx, params, self.cut(grad, params))
            return None

        job = partial(simulate, program, self.workers + self.servers, servers=self.servers, network=self.network)
        try:
            return job(optimizer=self.optimizer, faults=self.faults, check=not self.faults)
        except Exception as error:
            raise AssertionError(f"{self}: {type(error).__name__}: {error}") from error


def work(trial: Trial, ctx: Context, strategy: SyncStrategy) -> Array:
    """Live a worker's life; return its gradient and parameters after `setup`, each step and `finish`.

    The shape is (steps + 2, 2, size). A step that the worker skips, because it fell behind, leaves both unchanged.
    """
    grad, params = ctx.alloc(trial.size, np.float32), ctx.alloc(trial.size, np.float32)
    params[:] = first_params(ctx.rank, trial.size)
    ctx.place.enter("synchronize")
    strategy.setup(ctx, params)
    ctx.barrier()
    seen = [np.stack((grad, params))]
    optimizer, traits, buckets = ctx.optimizer(params), strategy.traits, trial.cut(grad, params)
    for step in range(trial.steps):
        ctx.place.step = step
        if step < ctx.skipped_to:
            seen.append(seen[-1])
            continue
        grad[:] = trial.gradient(ctx.rank, step, trial.size)
        ctx.sleep(trial.train(ctx, step))
        if traits.exchanges == "parameters":
            optimizer.step(grad, step)
        for bucket in buckets:
            ctx.place.bucket = bucket.index
            strategy.synchronize(ctx, bucket)
        ctx.place.bucket = 0
        if traits.exchanges == "gradients" and traits.update == "worker":
            optimizer.step(grad, step)
        seen.append(np.stack((grad, params)))
    ctx.place.step = FINISH
    strategy.finish(ctx)
    seen.append(np.stack((grad, params)))
    return np.stack(seen)


def compare(trial: Trial, what: str, got: Vector, want: Vector) -> None:
    """AssertionError unless `got` and `want` are equal but for rounding, as of a division by n or a factor of 1/n."""
    wrong = np.flatnonzero(~np.isclose(got, want, rtol=1e-5, atol=1e-4))
    if wrong.size:
        i = wrong[0]
        off = f"{wrong.size} of {want.size} elements are off; element {i} is {got[i]:g} instead of {want[i]:g}"
        raise AssertionError(f"{trial}: {what}: {off}")
