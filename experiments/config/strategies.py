"""Strategies by name: the built-in ones, those of installed plug-ins, and `package.module:Class`.

A *call* is a name with options in brackets: `ps-bsp(segment=65536)`.
"""

import contextlib
import inspect
import re
import sys
import typing
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import yaml

from common.errors import ConfigError, suggest
from common.strategy import SyncStrategy, Traits
from common.util.import_by_name import import_attribute, import_from_working_folder
from experiments.config.declaration import option

GROUP = "syncbench.strategies"
BUILTIN = {
    "single": "allreduce.noop:Single",
    "noop": "allreduce.noop:Noop",
    "ps-bsp": "ps.strategy:PsBsp",
    "ps-ssp": "ps.strategy:PsSsp",
    "ps-async": "ps.strategy:PsAsync",
    "ps-backup": "ps.strategy:PsBackup",
    "star": "allreduce.star:Star",
    "ring": "allreduce.ring:Ring",
    "tree": "allreduce.tree:Tree",
    "direct": "allreduce.direct:Direct",
    "double-tree": "allreduce.double_tree:DoubleTree",
    "recursive-doubling": "allreduce.recursive_doubling:RecursiveDoubling",
    "halving-doubling": "allreduce.halving_doubling:HalvingDoubling",
    "sparse-all-gather": "allreduce.sparse_all_gather:SparseAllGather",
    "hierarchical": "allreduce.hierarchical:Hierarchical",
    "auto": "allreduce.auto:Auto",
    "gloo": "allreduce.engines:Gloo",
    "ddp": "allreduce.engines:Ddp",
    "nccl": "allreduce.engines:Nccl",
    "mpi": "allreduce.engines:Mpi",
}


@dataclass(frozen=True)
class StrategyOptions:
    """Strategy"""

    strategy: str = option("ring", "a name of `list`, or module:Class")
    strategy_options: dict[str, Any] = option(
        {}, "in a YAML file: the strategy's own options, as --strategy.<option> gives them", flag="--strategy_options"
    )


def known() -> dict[str, str]:
    """Return the target of every strategy that has a name: built in, or an entry point of an installed package."""
    return {point.name: point.value for point in entry_points(group=GROUP)} | BUILTIN


def strategy_class(name: str) -> type[SyncStrategy]:
    """Return the class that a name or a `module:Class` stands for. Raises ConfigError if it is no strategy."""
    what = f"strategy {name!r}"
    target = BUILTIN.get(name) or (name if ":" in name else known().get(name))
    if target is None:
        raise ConfigError(f"unknown {what}: {suggest(name, known())} (your own is given as module:Class)")
    if name not in BUILTIN:
        import_from_working_folder()
    found = import_attribute(what, target, _is_strategy, "it defines no strategy")
    given = target.rpartition(":")[2].partition("[")[0].strip()
    if not _is_strategy(found):
        raise ConfigError(f"{what}: {given} is no subclass of syncbench.SyncStrategy")
    if missing := sorted(found.__abstractmethods__):
        raise ConfigError(f"{what}: {given} does not define {', '.join(missing)}")
    if not isinstance(found.traits, Traits):
        raise ConfigError(f"{what}: the traits of {given} are no syncbench.Traits")
    return typing.cast("type[SyncStrategy]", found)


def _is_strategy(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, SyncStrategy)


def options_of(cls: type[SyncStrategy]) -> list[str]:
    """Return the names of the strategy's options."""
    return [] if cls.__init__ is object.__init__ else list(inspect.signature(cls).parameters)


_CALL = re.compile(r"([^(),]+)(?:\(([^()]*)\))?")
_COMMA = re.compile(r",(?![^()]*\))")  # outside brackets


def split_calls(text: str) -> list[str]:
    """Split a text at its commas, except those in brackets, into calls without spaces."""
    return [call for part in _COMMA.split(text) if (call := "".join(part.split()))]


def parse_call(call: str) -> tuple[str, dict[str, Any]]:
    """Return a strategy's name, and its options as YAML reads them. Raises ConfigError for any other text."""
    found = _CALL.fullmatch(call)
    pairs = [each.partition("=") for each in (found[2] or "").split(",") if each] if found else []
    if found is None or not all(name and equals and value for name, equals, value in pairs):
        raise ConfigError(f"{call!r} is no strategy with options: give it as name(option=value,option=value)")
    try:
        return found[1], {name: yaml.safe_load(value) for name, _, value in pairs}
    except yaml.YAMLError:
        raise ConfigError(f"{call!r}: the value of an option is no YAML") from None


def create_call(call: str) -> SyncStrategy:
    """Make a strategy from a call."""
    return create(*parse_call(call))


def create(name: str, options: dict[str, Any]) -> SyncStrategy:
    """Make a strategy with these options (`--strategy.<option>`). Raises ConfigError for one that it does not have."""
    cls = strategy_class(name)
    known_options = options_of(cls)
    for key in options:
        if key not in known_options:
            hint = suggest(key, known_options) if known_options else "it has no options"
            raise ConfigError(f"strategy {name!r} has no option --strategy.{key}: {hint}")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return cls(**options)
    except (TypeError, ValueError, ConfigError) as error:
        raise ConfigError(f"strategy {name!r}: {error}") from None
    except Exception as error:
        raise ConfigError(f"strategy {name!r}: {type(error).__name__}: {error}") from error
