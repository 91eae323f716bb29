"""The conformance suite: hold a strategy to what its traits promise. It needs no test framework.

    check_strategy(MyStrategy)                        # a class, or
    check_strategy(lambda: MyStrategy(staleness=3))   # any function that makes a fresh one

Every rank runs in virtual time. A worker calls `setup`, a barrier, `synchronize` for each step and bucket, then
`finish`; a server calls `serve`. A broken promise is an AssertionError of one line.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from common.context import Optimizer
from common.errors import ConfigError, DeadlineExceeded, PeerFailed
from common.pipeline.engine import engine_traits
from common.strategy import SyncStrategy, Traits
from common.testing.relaxed import check_relaxed
from common.testing.trial import GRAD, LINK, NETWORK, PARAMS, SGD, Trial, compare, first_params, rough_gradient
from common.transport.virtual.network import Kill
from common.types import Vector

CONSISTENCY = re.compile(r"bsp|asp|none|ssp\(\d+\)|backup\(\d+\)")
PRIME, LARGE = 97, 1000
BUCKETS = (1, 3)  # a step


def check_strategy(
    strategy: Callable[[], SyncStrategy],
    *,
    workers: Sequence[int] = (1, 2, 3, 4, 5),
    servers: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    optimizer: Callable[[Vector], Optimizer] = SGD,
) -> int:
    """Check every promise of a strategy for each number of workers and servers; return how many cases it passed.

    `strategy` makes a fresh strategy: a class, or a function without arguments. `servers` is (0,) by default, or
    (1, 2, 3) if the traits need servers. `sizes`, in elements, are by default awkward ones: none, one, about as many
    as workers, a prime, 1000. `optimizer` is stage 6. Raises AssertionError, one line with the case and the promise.
    """
    if not callable(strategy):
        raise TypeError("check_strategy needs a class or a function that makes strategies: each rank gets a fresh one")
    traits = engine_traits(strategy().traits)
    if traits.own_transport is not None:
        raise ValueError(f"{traits.own_transport} moves the bytes itself: nothing can be checked in virtual time")
    check_traits(traits)
    passed = 0
    for n in (1,) if traits.one_process else [count for count in workers if _runs_with(strategy, count)]:
        for s in servers if servers is not None else ((1, 2, 3) if traits.servers else (0,)):
            chosen = sorted({0, 1, n - 1, n, n + 1, PRIME, LARGE}) if sizes is None else sizes
            trial = Trial(strategy, n, s, size=max(chosen), optimizer=optimizer)
            for case in (replace(trial, size=size, buckets=buckets) for size in chosen for buckets in BUCKETS):
                check_results(case)
                check_bytes(case)
            for buckets in BUCKETS:
                check_same_bits(replace(trial, buckets=buckets))
            check_seconds(trial)
            if traits.consistency not in ("bsp", "none") and traits.update == "server":
                check_relaxed(replace(trial, buckets=max(BUCKETS), optimizer=SGD))
            for culprit in sorted({0, n - 1, n + s - 1}) if n + s > 1 else ():
                check_death(replace(trial, steps=6, buckets=max(BUCKETS)), culprit)
            passed += len(chosen) * len(BUCKETS)
    return passed


def _runs_with(strategy: Callable[[], SyncStrategy], workers: int) -> bool:
    try:
        strategy().check(workers)
    except ConfigError:
        return False
    return True


def check_traits(traits: Traits) -> None:
    """Check that the traits make sense by themselves."""
    if not CONSISTENCY.fullmatch(traits.consistency):
        raise AssertionError(f"consistency {traits.consistency!r} is none of bsp, ssp(<s>), asp, backup(<b>), none")
    if traits.update == "server" and not traits.servers:
        raise AssertionError("update='server' needs servers=True")


def check_results(trial: Trial) -> None:
    """Check that `setup` equalises, and that a synchronous step leaves the mean gradient and the right parameters."""
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


def check_bytes(trial: Trial) -> None:
    """Check that every rank, servers too, sends as many bytes a step as `bytes_sent` says."""
    promise, sizes = trial.make().bytes_sent, [high - low for low, high in pairwise(trial.edges)]
    # A run without steps sends the bytes of setup and finish, which are not part of the promise.
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
    """Check for equal bits: in two equal runs; in any order of arrival if synchronous; on all replicas if promised."""
    traits = trial.make().traits
    jitter = replace(NETWORK, jitter=20 * NETWORK.latency)
    rough = [replace(trial, gradient=rough_gradient, network=replace(jitter, seed=seed)) for seed in (0, 0, 1, 2, 3)]
    first, again, *others = [np.stack(one.run().results[: one.workers]).view(np.uint32) for one in rough]
    if not np.array_equal(first, again):
        raise AssertionError(f"{trial}: two runs on the same network gave different bits")
    if traits.consistency == "bsp" and not all(np.array_equal(first, other) for other in others):
        raise AssertionError(f"{trial}: the bits depend on the order of arrival")
    if traits.replicas_equal and (first[:, :, PARAMS] != first[:1, :, PARAMS]).any():
        raise AssertionError(f"{trial}: replicas_equal is promised, but the workers hold different parameters")


def check_seconds(trial: Trial) -> None:
    """Check that the predicted seconds of a synchronous step are right to a factor of two."""
    trial = replace(trial, size=LARGE * trial.workers * max(trial.servers, 1))
    predicted = trial.make().seconds(trial.workers, trial.servers, 4 * trial.size, LINK)
    if predicted is None or trial.make().traits.consistency != "bsp":
        return
    measured = (trial.run().seconds - replace(trial, steps=0).run().seconds) / trial.steps
    if not predicted / 2 <= measured <= predicted * 2:
        raise AssertionError(f"{trial}: a step took {measured:.3g} s, predicted were {predicted:.3g} s")


def check_death(trial: Trial, culprit: int) -> None:
    """Check that a death ends the survivors with an error that names the dead rank; or not at all, if promised."""
    traits, seconds = trial.make().traits, trial.run().seconds
    if traits.consistency == "none":
        return  # without communication no rank can know
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
