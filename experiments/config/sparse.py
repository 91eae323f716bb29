"""Whether the gradient of a model's table is synchronised as its touched rows."""

from __future__ import annotations

from common.errors import ConfigError
from common.models import TABLES
from common.runtime.job import OptimizerSpec
from common.strategy import SyncStrategy
from experiments.config.checks import one_of
from experiments.config.options import AUTO_ON_OFF, on_off

PLAIN = "--optimizer sgd --momentum 0"


def by_rows(name: str, strategy: SyncStrategy, model: str, optimizer: OptimizerSpec) -> bool:
    """Whether it is sparse; what is asked for on purpose and cannot be had is a ConfigError."""
    if not strategy.traits.sparse:
        return False
    asked = on_off(strategy.sparse)
    one_of("strategy.sparse", asked, AUTO_ON_OFF)
    if asked == "on" and model not in TABLES:
        raise ConfigError(f"strategy {name!r} is to send rows, but model {model!r} has no table: use --model embedding")
    if asked == "on" and not optimizer.plain:
        raise ConfigError(f"sparse gradients need {PLAIN}: {_rule(optimizer.name)} changes rows that are not touched")
    return asked != "off" and model in TABLES and optimizer.plain


def _rule(optimizer: str) -> str:
    return "momentum" if optimizer == "sgd" else optimizer
