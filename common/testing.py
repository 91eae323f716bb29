"""The conformance suite: holds a strategy, yours too, to what its traits promise. Needs no test framework.

    check_strategy(MyStrategy)                        # a class, or
    check_strategy(lambda: MyStrategy(staleness=3))   # any function that makes a fresh one

Every rank is run in virtual time, in the worker's order of calls: `setup`, a barrier, for each step and bucket
`synchronize`, then `finish`; server ranks run `serve`. A broken promise is an AssertionError of one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from common.context import Array, Context, Optimizer
from common.errors import FINISH, ConfigError, DeadlineExceeded, PeerFailed
from common.strategy import Bucket, Link, Rows, SyncStrategy, Traits, Vector
from common.transport.virtual import Fault, Kill, Network, Outcome, simulate

LINK = Link(alpha=1e-3, beta=1e-8, gamma=1e-9)
NETWORK = Network(latency=LINK.alpha, bandwidth=1 / LINK.beta, reduce=LINK.gamma)
CONSISTENCY = re.compile(r"bsp|asp|none|ssp\(\d+\)|backup\(\d+\)")
PRIME, LARGE = 97, 1000
GRAD, PARAMS = 0, 1
BUCKETS = (1, 3)  # a step


class SGD:
    """Stage 6 as plain NumPy: `params -= rate * grad`."""

    def __init__(self, params: Vector, rate: float = 0.125) -> None:
        self.params = params
        self.rate = rate

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update `params` in place."""
        self.params -= self.rate * damping * grad

    def state(self) -> dict[str, Array]:
        """It has none."""
        return {}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Nothing to restore."""

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """Update some rows of `params` in place."""
        self.params.reshape(-1, rows.width)[rows.index] -= self.rate * damping * rows.values


def whole_gradient(rank: int, step: int, size: int) -> Vector:
    """A gradient of small positive integers, shape (size,): float32 adds them up exactly, in any order."""
    return ((np.arange(size) * (2 * rank + 3) + 7 * step + rank) % 61 + 1).astype(np.float32)


def rough_gradient(rank: int, step: int, size: int) -> Vector:
    """A random gradient, shape (size,): the bits of its sum depend on the order of the additions."""
    return np.random.default_rng((rank, step)).standard_normal(size, np.float32)


def first_params(rank: int, size: int) -> Vector:
    """The parameters that a worker starts with, shape (size,): different on each."""
    return (np.arange(size) % 50 + 100 * (rank + 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a strategy, and everything that decides its outcome."""

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
    train: Callable[[Context, int], float] = lambda ctx, step: 0.0  # called as stage 4 of a step begins: its seconds

    def __str__(self) -> str:
        counts = f"workers={self.workers} servers={self.servers} size={self.size} buckets={self.buckets}"
        return f"{type(self.make()).__name__}, {counts}"

    @property
    def edges(self) -> list[int]:
        """The boundaries of the buckets: of different sizes."""
        return [self.size * i * i // self.buckets**2 for i in range(self.buckets + 1)]

    def cut(self, grad: Vector, params: Vector) -> list[Bucket]:
        """The buckets of a step, views of gradient and parameters: the last part of them comes first."""
        pieces = [slice(low, high) for low, high in pairwise(self.edges)]
        return [Bucket(grad[piece], params[piece], index, piece.start) for index, piece in enumerate(reversed(pieces))]

    def run(self) -> Outcome:
        """Run it; only with faults may ranks fail. A worker's result is what `work` returns, a server's is None."""
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
    """The life of a worker: its gradient and parameters after `setup`, every step and `finish`: (steps + 2, 2, size).

    A step that it skips, as the others have left it behind, leaves both as they are.
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


def check_strategy(
    strategy: Callable[[], SyncStrategy],
    *,
    workers: Sequence[int] = (1, 2, 3, 4, 5),
    servers: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    optimizer: Callable[[Vector], Optimizer] = SGD,
) -> int:
    """Check every promise of a strategy, for each number of workers and servers; returns how many cases it passed.

    Raises AssertionError, one line that names the case and the promise.

    `strategy` makes a fresh one: a class, or a function without arguments. `servers` is (0,), or (1, 2, 3) where the
    traits need them; `sizes`, in elements, are the awkward ones: none, one, about as many as workers, a prime, 1000.
    """
    if not callable(strategy):
        raise TypeError("check_strategy needs a class or a function that makes strategies: each rank gets a fresh one")
    traits = strategy().traits
    if traits.own_transport is not None:
        raise ValueError(f"{traits.own_transport} moves the bytes itself: nothing can be checked in virtual time")
    check_traits(traits)
    from common.relaxed import check_relaxed  # which is built upon this module

    passed = 0
    for n in (1,) if traits.one_process else [each for each in workers if _runs_with(strategy, each)]:
        for s in servers if servers is not None else ((1, 2, 3) if traits.servers else (0,)):
            some = sorted({0, 1, n - 1, n, n + 1, PRIME, LARGE}) if sizes is None else sizes
            trial = Trial(strategy, n, s, size=max(some), optimizer=optimizer)
            for each in (replace(trial, size=size, buckets=buckets) for size in some for buckets in BUCKETS):
                check_results(each)
                check_bytes(each)
            for buckets in BUCKETS:
                check_same_bits(replace(trial, buckets=buckets))
            check_seconds(trial)
            if traits.consistency not in ("bsp", "none") and traits.update == "server":
                check_relaxed(replace(trial, buckets=max(BUCKETS), optimizer=SGD))
            for culprit in sorted({0, n - 1, n + s - 1}) if n + s > 1 else ():
                check_death(replace(trial, steps=6, buckets=max(BUCKETS)), culprit)
            passed += len(some) * len(BUCKETS)
    return passed


def _runs_with(strategy: Callable[[], SyncStrategy], workers: int) -> bool:
    """Whether it takes part with so many workers at all."""
    try:
        strategy().check(workers)
    except ConfigError:
        return False
    return True


def check_traits(traits: Traits) -> None:
    """The traits make sense by themselves."""
    if not CONSISTENCY.fullmatch(traits.consistency):
        raise AssertionError(f"consistency {traits.consistency!r} is none of bsp, ssp(<s>), asp, backup(<b>), none")
    if traits.update == "server" and not traits.servers:
        raise AssertionError("update='server' needs servers=True")


def check_results(trial: Trial) -> None:
    """`setup` equalises; a synchronous step leaves the mean gradient, and the parameters that it leads to."""
    traits, results = trial.make().traits, trial.run().results[: trial.workers]
    params = first_params(0, trial.size)
    if traits.consistency != "none":
        for rank, seen in enumerate(results):
            compare(trial, f"worker {rank}'s parameters after setup", seen[0, PARAMS], params)
    if traits.consistency != "bsp" or traits.exchanges != "gradients":
        return
    optimizer = trial.optimizer(params)
    for step in range(trial.steps):
        gradients = [trial.gradient(rank, step, trial.size) for rank in range(trial.workers)]
        mean = (sum(gradients, np.zeros(trial.size)) / trial.workers).astype(np.float32)
        optimizer.step(mean, step)
        for rank, seen in enumerate(results):
            if traits.update == "worker":
                compare(trial, f"worker {rank}'s mean gradient of step {step}", seen[step + 1, GRAD], mean)
            compare(trial, f"worker {rank}'s parameters after step {step}", seen[step + 1, PARAMS], params)


def compare(trial: Trial, what: str, got: Vector, want: Vector) -> None:
    """Equal but for rounding: by n or by 1/n, a mean is a mean. One whole number too few is far outside of it."""
    wrong = np.flatnonzero(~np.isclose(got, want, rtol=1e-5, atol=1e-4))
    if wrong.size:
        i = wrong[0]
        off = f"{wrong.size} of {want.size} elements are off; element {i} is {got[i]:g} instead of {want[i]:g}"
        raise AssertionError(f"{trial}: {what}: {off}")


def check_bytes(trial: Trial) -> None:
    """Every rank, servers too, sends as many bytes a step as `bytes_sent` says."""
    promise, sizes = trial.make().bytes_sent, [high - low for low, high in pairwise(trial.edges)]
    # The bytes of setup and finish, which are not part of the promise, are those of a run without steps.
    longer, shorter = trial.run().meters, replace(trial, steps=0).run().meters
    for rank in range(trial.workers + trial.servers):
        promises = [promise(rank, trial.workers, trial.servers, size) for size in sizes]
        if None in promises:
            continue
        promised = trial.steps * sum(filter(None, promises))
        sent = longer[rank].bytes_sent - shorter[rank].bytes_sent
        if sent != promised:
            raise AssertionError(f"{trial}: rank {rank} promised {promised} bytes in {trial.steps} steps, sent {sent}")


def check_same_bits(trial: Trial) -> None:
    """Same seed, same bits; if synchronous, whatever arrives first; if promised, on every replica."""
    traits = trial.make().traits
    jitter = replace(NETWORK, jitter=20 * NETWORK.latency)
    rough = [replace(trial, gradient=rough_gradient, network=replace(jitter, seed=seed)) for seed in (0, 0, 1, 2, 3)]
    first, again, *others = [np.stack(each.run().results[: each.workers]).view(np.uint32) for each in rough]
    if not np.array_equal(first, again):
        raise AssertionError(f"{trial}: two runs on the same network gave different bits")
    if traits.consistency == "bsp" and not all(np.array_equal(first, other) for other in others):
        raise AssertionError(f"{trial}: the bits depend on the order of arrival")
    if traits.replicas_equal and (first[:, :, PARAMS] != first[:1, :, PARAMS]).any():
        raise AssertionError(f"{trial}: replicas_equal is promised, but the workers hold different parameters")


def check_seconds(trial: Trial) -> None:
    """The predicted seconds of a synchronous step are right to a factor of two."""
    trial = replace(trial, size=LARGE * trial.workers * max(trial.servers, 1))
    predicted = trial.make().seconds(trial.workers, trial.servers, 4 * trial.size, LINK)
    if predicted is None or trial.make().traits.consistency != "bsp":
        return
    measured = (trial.run().seconds - replace(trial, steps=0).run().seconds) / trial.steps
    if not predicted / 2 <= measured <= predicted * 2:
        raise AssertionError(f"{trial}: a step took {measured:.3g} s, predicted were {predicted:.3g} s")


def check_death(trial: Trial, culprit: int) -> None:
    """A rank that dies ends the survivors, with an error that names it; or they carry on, if that was promised."""
    traits, seconds = trial.make().traits, trial.run().seconds
    if traits.consistency == "none":
        return  # without communication nobody can know
    may_continue = traits.on_worker_death == "continue" and culprit < trial.workers
    for moment in (0.0, 0.1, 0.5):  # as shares of the run; by the last one, setup is over
        errors = replace(trial, faults=(Kill(culprit, at=moment * seconds),)).run().errors
        for rank in set(range(trial.workers + trial.servers)) - {culprit}:
            error = errors.get(rank)
            named = isinstance(error, DeadlineExceeded) or (isinstance(error, PeerFailed) and error.rank == culprit)
            if may_continue and (error is None or (named and moment < 0.5)):
                continue
            if may_continue or not named:
                said = "never noticed" if error is None else f"ended with {error!r}"
                raise AssertionError(f"{trial}: rank {culprit} died, rank {rank} {said}")
