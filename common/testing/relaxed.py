"""The conformance suite's part for servers that do not wait for everybody: ssp(s), asp, backup(b).

Which parameters a worker has after a step depends there on who came first. What does not: where all of them end, that
every gradient counts once, and how far apart the workers may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from common.context import Context
from common.testing.trial import NETWORK, PARAMS, SGD, Trial, compare, first_params, whole_gradient
from common.types import Vector

MORE = 3  # steps than the staleness that is allowed, so that it is reached
QUICK, SLOW = 0.01, 0.05  # seconds of stage 4: of all workers but the last; of that one, times the steps of the trial


class Undamped(SGD):
    """Stage 6 with one learning rate for all updates, so that it is known where they lead to."""

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update `params` in place."""
        super().step(grad, at)


def check_relaxed(trial: Trial) -> None:
    """Every check of this module, with plain SGD. AssertionError, one line."""
    for seed in range(3):
        check_end(replace(trial, network=replace(NETWORK, jitter=20 * NETWORK.latency, seed=seed)))
    if trial.workers > 1:
        check_lead(trial)
    elif not trial.make().traits.consistency.startswith("backup"):
        check_alone(trial)


def check_end(trial: Trial) -> None:
    """At the end all replicas are equal, and every gradient is in them once.

    With backups it is not known whose: then all workers have the same gradient, and each step counts once.
    """
    backups = trial.make().traits.consistency.startswith("backup")
    gradient = _everybodys if backups else whole_gradient
    train = _pace(trial.workers - 1, trial.steps, {})
    results = replace(trial, gradient=gradient, train=train, optimizer=Undamped).run().results[: trial.workers]
    steps, ranks = range(trial.steps), range(trial.workers)
    total = sum((gradient(rank, step, trial.size) for step in steps for rank in ranks), np.zeros(trial.size))
    want = first_params(0, trial.size)
    SGD(want).step((total / trial.workers).astype(np.float32))
    for rank, seen in enumerate(results):
        compare(trial, f"worker {rank}'s parameters after finish", seen[-1, PARAMS], want)
        if not np.array_equal(seen[-1, PARAMS], results[0][-1, PARAMS]):
            raise AssertionError(f"{trial}: after finish workers 0 and {rank} hold different parameters")


def _everybodys(rank: int, step: int, size: int) -> Vector:
    return whole_gradient(0, step, size)


def check_alone(trial: Trial) -> None:
    """One worker has nobody to wait for, or to be late for: each of its steps is a plain one."""
    (seen,) = trial.run().results[:1]
    params = first_params(0, trial.size)
    optimizer = SGD(params)
    for step in range(trial.steps):
        optimizer.step(whole_gradient(0, step, trial.size))
        compare(trial, f"a single worker's parameters after step {step}", seen[step + 1, PARAMS], params)


def check_lead(trial: Trial) -> None:
    """Beside a slow worker the others get as far ahead as was promised, and no further.

    A lead is the step that a worker begins to compute less the steps that the slow one has pushed by then.
    """
    consistency = trial.make().traits.consistency
    bound = re.fullmatch(r"ssp\((\d+)\)", consistency)
    steps = int(bound[1]) + MORE if bound else 2 * MORE
    promised = int(bound[1]) if bound else 0 if consistency == "backup(0)" else steps - 1
    slow = trial.workers - 1
    began: dict[tuple[int, int], float] = {}
    replace(trial, steps=steps, train=_pace(slow, steps, began)).run()
    pushed = [moment + SLOW * steps for (rank, _), moment in began.items() if rank == slow]
    leads = [step - sum(each <= moment for each in pushed) for (rank, step), moment in began.items() if rank != slow]
    if max(leads) != promised:
        raise AssertionError(f"{trial}: {consistency} lets a worker be {promised} steps ahead, it was {max(leads)}")


def _pace(slow: int, steps: int, began: dict[tuple[int, int], float]) -> Callable[[Context, int], float]:
    def train(ctx: Context, step: int) -> float:
        began[ctx.rank, step] = ctx.now()
        return SLOW * steps if ctx.rank == slow else QUICK

    return train
