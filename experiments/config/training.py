"""How long is trained, by which update rule and learning rate, and whether gradients are synchronised as rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.errors import ConfigError
from common.models import TABLES
from common.pipeline.lr_schedule import SCHEDULES
from common.runtime.job import OptimizerSpec
from common.strategy import SyncStrategy
from experiments.config.checks import at_least, number, on_off, one_of, positive
from experiments.config.option import option
from experiments.config.ranks import JobOptions

PLAIN = "--optimizer sgd --momentum 0"


@dataclass(frozen=True)
class TrainingOptions(JobOptions):
    """The update rule"""

    steps: int = option(200, "training steps", check=at_least(1))
    optimizer: str = option("sgd", "{choices}", choices=("sgd", "adam"))
    lr: float = option(0.1, "learning rate", check=positive)
    momentum: float = option(0.9, "momentum of sgd", check=number("from 0 to below 1", lambda value: 0 <= value < 1))
    schedule: str = option("constant", "schedule of the learning rate: {choices}", choices=SCHEDULES)
    warmup: int = option(0, "steps in which the learning rate rises to --lr", check=at_least(0))
    decay: float = option(
        0.1, "factor of schedule step", check=number("above 0, at most 1", lambda value: 0 < value <= 1)
    )
    decay_every: int | None = option(
        None, "steps between the decays of schedule step; null: a third of all", check=at_least(1)
    )


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


def by_rows(name: str, strategy: SyncStrategy, model: str, optimizer: OptimizerSpec) -> bool:
    """Return whether touched rows alone are sent. Raises ConfigError if the user asks for it and it is impossible."""
    if not strategy.traits.sparse:
        return False
    asked = on_off(strategy.sparse)
    one_of("auto", "on", "off")("--strategy.sparse", asked)
    if asked == "on" and model not in TABLES:
        raise ConfigError(f"strategy {name!r} is to send rows, but model {model!r} has no table: use --model embedding")
    if asked == "on" and not optimizer.plain:
        rule = "momentum" if optimizer.name == "sgd" else optimizer.name
        raise ConfigError(f"sparse gradients need {PLAIN}: {rule} changes rows that are not touched")
    return asked != "off" and model in TABLES and optimizer.plain
