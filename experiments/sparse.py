"""Whether the gradient of a model's table is synchronised as its touched rows, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import ConfigError
from common.job import OptimizerSpec
from common.models import TABLES
from common.strategy import SyncStrategy

CHOICES = ("auto", "on", "off")
PLAIN = "--optimizer sgd --momentum 0"


def resolve(name: str, strategy: SyncStrategy, model: str, optimizer: OptimizerSpec) -> bool:
    """Whether it is sparse; what is asked for on purpose and cannot be had is a ConfigError."""
    if not strategy.traits.sparse:
        return False
    asked = _choice(strategy.sparse)
    if asked not in CHOICES:
        raise ConfigError(f"--strategy.sparse is {asked!r}: give {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    if asked == "on" and model not in TABLES:
        raise ConfigError(f"strategy {name!r} is to send rows, but model {model!r} has no table: use --model embedding")
    if asked == "on" and not optimizer.plain:
        raise ConfigError(f"sparse gradients need {PLAIN}: {_rule(optimizer.name)} changes rows that are not touched")
    return asked != "off" and model in TABLES and optimizer.plain


def in_words(summary: Mapping[str, Any], can: bool) -> str:
    """A line for people on how the table's gradient was synchronised; empty for a model without one.

    `can`: whether the strategy can do it by rows.
    """
    if summary.get("model") not in TABLES:
        return ""
    if summary.get("sparse"):
        return "sparse: of the table, only the rows that a step touches were synchronised"
    if not can:
        return "dense: the whole table was synchronised, as this strategy always does"
    if _choice((summary.get("strategy_options") or {}).get("sparse")) == "off":
        return "dense: the whole table was synchronised, as asked for"
    return f"dense: the whole table was synchronised, as rows alone need {PLAIN}"


def _choice(given: object) -> object:
    """`on` and `off` are true and false in YAML, which options of a strategy are read as."""
    return ("on" if given else "off") if isinstance(given, bool) else given


def _rule(optimizer: str) -> str:
    return "momentum" if optimizer == "sgd" else optimizer
