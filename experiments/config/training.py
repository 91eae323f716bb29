"""What is trained and how: model, samples, update rule, learning rate."""

from __future__ import annotations

import math

from common.errors import ConfigError
from common.models import MODELS
from common.pipeline.lr_schedule import SCHEDULES
from common.runtime.job import OptimizerSpec
from experiments.config.checks import at_least_one, known, positive
from experiments.config.options import RunOptions

OPTIMIZERS = ("sgd", "adam")
BATCH_PER_WORKER = 32


def check_training(options: RunOptions) -> None:
    """Everything that does not depend on the strategy."""
    if ":" not in options.model:
        known("model", options.model, MODELS)
    known("optimizer", options.optimizer, OPTIMIZERS)
    at_least_one("steps", options.steps)
    positive("lr", options.lr)
    if not 0 <= options.seed < 1 << 64:
        raise ConfigError(f"--seed is {options.seed}: give a whole number from 0 to below 2**64")
    if not 0 <= options.momentum < 1:
        raise ConfigError(f"--momentum is {options.momentum:g}: give a number from 0 to below 1")
    if not options.hidden or min(options.hidden) < 1:
        raise ConfigError("--hidden needs at least one layer of at least one unit, for example 64 or 256,128")
    _check_schedule(options)


def _check_schedule(options: RunOptions) -> None:
    known("schedule", options.schedule, SCHEDULES)
    if not 0 <= options.warmup <= options.steps:
        raise ConfigError(f"--warmup is {options.warmup}: give a whole number from 0 to the {options.steps} steps")
    if options.schedule in ("linear", "cosine") and options.warmup == options.steps:
        raise ConfigError(f"--warmup {options.warmup} leaves --schedule {options.schedule} none of the steps")
    if not 0 < options.decay <= 1:
        raise ConfigError(f"--decay is {options.decay:g}: give a number above 0, at most 1")
    if options.decay_every is not None:
        at_least_one("decay-every", options.decay_every)


def update_rule(options: RunOptions) -> OptimizerSpec:
    """Stage 6; a decay in steps without a number of them happens twice, after each third."""
    third = max(1, math.ceil((options.steps - options.warmup) / 3)) if options.schedule == "step" else 1
    return OptimizerSpec(
        options.optimizer,
        options.lr,
        options.momentum,
        options.schedule,
        options.warmup,
        options.decay,
        options.decay_every or third,
        options.steps if options.schedule in ("linear", "cosine") else 0,
    )


def batch(options: RunOptions, samples: int) -> int:
    """Samples a step over all workers, out of so many to train on."""
    workers = options.workers
    if workers > samples:
        raise ConfigError(f"{workers} workers for the {samples} training samples of {options.data}: at most {samples}")
    size = min(BATCH_PER_WORKER, samples // workers) * workers if options.batch is None else options.batch
    at_least_one("batch", size)
    if size % workers:
        near = [size - size % workers, size - size % workers + workers]
        right = " or ".join(str(each) for each in near if each)
        raise ConfigError(f"--batch {size} does not divide among {workers} workers: {right} does")
    most = samples // workers * workers
    if size > most:
        raise ConfigError(
            f"--batch {size}, but {options.data} has {samples} for {workers} workers: at most --batch {most}"
        )
    return size
