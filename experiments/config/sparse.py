"""Whether the gradient of a model's table is synchronised as its touched rows."""

from __future__ import annotations

from common.errors import ConfigError
from common.models import TABLES
from common.runtime.job import OptimizerSpec
from common.strategy import SyncStrategy
from experiments.config.checks import on_off, one_of
from experiments.config.network import AUTO_ON_OFF

PLAIN = "--optimizer sgd --momentum 0"


def by_rows(name: str, strategy: SyncStrategy, model: str, optimizer: OptimizerSpec) -> bool:
    """Return whether touched rows alone are sent. Raises ConfigError if the user asks for it and it is impossible."""
    if not strategy.traits.sparse:
        return False
    asked = on_off(strategy.sparse)
    one_of(*AUTO_ON_OFF)("--strategy.sparse", asked)
    if asked == "on" and model not in TABLES:
        raise ConfigError(f"strategy {name!r} is to send rows, but model {model!r} has no table: use --model embedding")
    if asked == "on" and not optimizer.plain:
        rule = "momentum" if optimizer.name == "sgd" else optimizer.name
        raise ConfigError(f"sparse gradients need {PLAIN}: {rule} changes rows that are not touched")
    return asked != "off" and model in TABLES and optimizer.plain
