"""The conformance suite for servers that do not wait for every worker: ssp(s), asp, backup(b).

The parameters of a worker after a step depend on the order of arrival there. Three things do not: the final
parameters, that every gradient counts once, and how many steps the workers may be apart.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from common.context import Context
from common.testing.trial import NETWORK, PARAMS, SGD, Trial, compare, first_params, whole_gradient
from common.types import Vector

MORE = 3  # steps beyond the allowed staleness, so that it is reached
# Seconds of stage 4: of all workers but the last; of the last one, to be multiplied by the steps of the trial.
QUICK, SLOW = 0.01, 0.05


class Undamped(SGD):
    """Stage 6 with one learning rate for all updates, so that the final parameters are known."""

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update `params` in place."""
        super().step(grad, at)


def check_relaxed(trial: Trial) -> None:
    """Run every check of this module, with plain SGD. AssertionError, one line."""
    for seed in range(3):
        check_end(replace(trial, network=replace(NETWORK, jitter=20 * NETWORK.latency, seed=seed)))
    if trial.workers > 1:
        check_lead(trial)
    elif not trial.make().traits.consistency.startswith("backup"):
        check_alone(trial)


def check_end(trial: Trial) -> None:
    """Check that all replicas end equal and contain every gradient once; with backups each step counts once."""
    backups = trial.make().traits.consistency.startswith("backup")
    gradient = (lambda rank, step, size: whole_gradient(0, step, size)) if backups else whole_gradient
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


def check_alone(trial: Trial) -> None:
    """Check a single worker: each of its steps is a plain one, as there is no other to wait for."""
    (seen,) = trial.run().results[:1]
    params = first_params(0, trial.size)
    optimizer = SGD(params)
    for step in range(trial.steps):
        optimizer.step(whole_gradient(0, step, trial.size))
        compare(trial, f"a single worker's parameters after step {step}", seen[step + 1, PARAMS], params)


def check_lead(trial: Trial) -> None:
    """Check that beside a slow worker the others lead, in steps begun, as far as promised and no further."""
    consistency = trial.make().traits.consistency
    bound = re.fullmatch(r"ssp\((\d+)\)", consistency)
    steps = int(bound[1]) + MORE if bound else 2 * MORE
    promised = int(bound[1]) if bound else 0 if consistency == "backup(0)" else steps - 1
    slow = trial.workers - 1
    began: dict[tuple[int, int], float] = {}
    replace(trial, steps=steps, train=_pace(slow, steps, began)).run()
    pushed = [moment + SLOW * steps for (rank, _), moment in began.items() if rank == slow]
    leads = [step - sum(push <= moment for push in pushed) for (rank, step), moment in began.items() if rank != slow]
    if max(leads) != promised:
        raise AssertionError(f"{trial}: {consistency} lets a worker be {promised} steps ahead, it was {max(leads)}")


def _pace(slow: int, steps: int, began: dict[tuple[int, int], float]) -> Callable[[Context, int], float]:
    def train(ctx: Context, step: int) -> float:
        began[ctx.rank, step] = ctx.now()
        return SLOW * steps if ctx.rank == slow else QUICK

    return train
