"""The values of a sweep's settings, typed and checked as `syncbench run` types and checks them."""

from __future__ import annotations

import functools
import re
from argparse import ArgumentError
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from common.errors import ConfigError, suggest
from experiments.cli.run import parser as run_parser
from experiments.config import RunOptions
from experiments.sweep.spec import SHARED

KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "null"}
# Options whose values have commas of their own: a flag has one value, and is repeated for more.
ONE_EACH = frozenset({"hidden", "data", "slow_worker", "jitter", "link", "preprocess", "model", "interface"})
USUAL = RunOptions()

_runs = functools.cache(run_parser)


@functools.cache
def own_parser() -> ArgumentParser:
    """The settings that are the sweep's and no run's."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--name", type=str)
    parser.add_argument("--question", type=str)
    parser.add_argument("--repeats", type=int)
    for name in ("ceiling", "yardstick", "calibrate"):
        parser.add_argument(f"--{name}", type=bool)
    return parser


@functools.cache
def _switch(key: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{key}", type=bool)
    return parser


def setting(key: str, given: Any, where: str) -> Any:
    """One value of a setting that a run has, from text (or a list of texts, which stands for one with commas).

    `null`: to be chosen from the rest, where a run may leave that open.
    """
    if given == "null" and getattr(USUAL, key) is None:
        return None
    if isinstance(getattr(USUAL, key), bool):  # on the command line of `run` a flag without a value
        return _typed(_switch(key), key, given, where)
    return _typed(_runs(), key, ",".join(given) if _texts(given) else given, where)


def own(key: str, given: Any, where: str) -> Any:
    """One value of a setting of the sweep itself."""
    return _typed(own_parser(), key, given, where)


def option(key: str, given: Any, where: str) -> Any:
    """One value of a strategy's own option: YAML, as after `--strategy.<option>`."""
    if not isinstance(given, str):
        return given
    try:
        return yaml.safe_load(given)
    except yaml.YAMLError:
        raise ConfigError(f"{where}{key}: {given!r} is no YAML value") from None


def known_key(key: str, known: tuple[str, ...], where: str) -> str:
    """`key` in its one spelling (`train-seconds` is `train_seconds`). ConfigError with the near ones if there is none.

    Keys that no parser knows are refused too: what a run cannot be asked for cannot be swept.
    """
    spelled = str(key).replace("-", "_")
    if spelled not in known:
        raise ConfigError(f"{where}unknown key {key!r}: {suggest(spelled, known)}")
    return spelled


def run_keys() -> tuple[str, ...]:
    """The settings of a run that a sweep can fix or vary: what `run` takes, but for the strategy."""
    taken = {action.dest for action in _runs()._actions}
    return tuple(name for name in SHARED if name in taken)


def _texts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(each, str) for each in given)


def _typed(parser: ArgumentParser, key: str, given: Any, where: str) -> Any:
    try:
        return parser.parse_object({key: given}, defaults=False)[key]
    except ArgumentError as error:
        raise ConfigError(f"{where}{key}: {_readable(str(error), given)}") from None


def _readable(message: str, given: Any) -> str:
    """jsonargparse's message about a value, in one phrase."""
    expected = list(dict.fromkeys(re.findall(r"Expected a <class '(\w+)'>", message)))
    if not expected:
        return " ".join(message.partition(": ")[2].split()) or f"{given!r} is not what is expected"
    return f"{given!r} is not {' or '.join(KINDS.get(name, name) for name in expected)}"
