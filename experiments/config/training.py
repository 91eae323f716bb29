"""How long is trained, and by which update rule and learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from common.errors import ConfigError
from common.pipeline.lr_schedule import SCHEDULES
from common.runtime.job import OptimizerSpec
from experiments.config.checks import at_least, number, positive
from experiments.config.option import Option
from experiments.config.ranks import JobOptions


@dataclass(frozen=True)
class TrainingOptions(JobOptions):
    """The update rule"""

    steps: Annotated[int, Option("training steps", check=at_least(1))] = 200
    optimizer: Annotated[str, Option("{choices}", choices=("sgd", "adam"))] = "sgd"
    lr: Annotated[float, Option("learning rate", check=positive)] = 0.1
    momentum: Annotated[
        float, Option("momentum of sgd", check=number("from 0 to below 1", lambda value: 0 <= value < 1))
    ] = 0.9
    schedule: Annotated[str, Option("schedule of the learning rate: {choices}", choices=SCHEDULES)] = "constant"
    warmup: Annotated[int, Option("steps in which the learning rate rises to --lr", check=at_least(0))] = 0
    decay: Annotated[
        float, Option("factor of schedule step", check=number("above 0, at most 1", lambda value: 0 < value <= 1))
    ] = 0.1
    decay_every: Annotated[
        int | None, Option("steps between the decays of schedule step; null: a third of all", check=at_least(1))
    ] = None


def check_schedule(options: TrainingOptions) -> None:
    """Check that the warm-up leaves the schedule some of the steps."""
    if options.warmup > options.steps:
        raise ConfigError(f"--warmup is {options.warmup}: give a whole number from 0 to the {options.steps} steps")
    if options.schedule in ("linear", "cosine") and options.warmup == options.steps:
        raise ConfigError(f"--warmup {options.warmup} leaves --schedule {options.schedule} none of the steps")


def update_rule(options: TrainingOptions) -> OptimizerSpec:
    """Return the update rule. Schedule `step` without `--decay-every` decays twice, after each third of the steps."""
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
