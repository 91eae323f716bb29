"""A sweep from a file, flags, or both: every key and value checked, one line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import ConfigError, suggest
from experiments.config import RunOptions
from experiments.config.strategies import options_of, strategy_class
from experiments.sweep import value_types
from experiments.sweep.spec import Contestant, Sweep, Values
from experiments.sweep.yaml_files import Raw

PLAIN = ("name", "question", "repeats", "ceiling", "yardstick", "calibrate")
OWN = (*PLAIN, "strategies", "quick")
REPEATS = 5
QUICK_STEPS, QUICK_REPEATS = 50, 2
USUAL = RunOptions()


def keys() -> tuple[str, ...]:
    """All that a sweep file can say at its top."""
    return (*OWN, *value_types.run_keys())


def read(
    raw: Raw, flags: Raw, *, quick: Mapping[str, Any] | None = None, where: str = "", name: str = "flags"
) -> Sweep:
    """The sweep that a file says (`raw`), with what was given as flags in place of the file's. ConfigError, one line.

    `quick` is what makes it small (see `shortened`), or None. `where` stands before complaints about the file. `name`
    is for a file that gives itself none.
    """
    filed = {value_types.known_key(key, keys(), where): value for key, value in raw.items()}
    filed.pop("quick", None)
    place = {**dict.fromkeys(filed, where), **dict.fromkeys(flags, "--")}
    given = {**filed, **(quick or {}), **flags}
    if not given.get("strategies"):
        raise ConfigError(f"{where}strategies: give at least one, like strategies: [ring, ps-bsp]")
    settings = {key: _values(key, given[key], place.get(key, where)) for key in given if key not in OWN}
    own = {key: value_types.own(key, given[key], place.get(key, where)) for key in given if key in PLAIN}
    sweep = Sweep(
        name=own.get("name", name),
        question=own.get("question", ""),
        contestants=_contestants(given["strategies"], place["strategies"]),
        settings={**settings, **_defaults(settings)},
        repeats=own.get("repeats", REPEATS),
        **{key: own[key] for key in ("ceiling", "yardstick", "calibrate") if key in own},
    )
    _check(sweep, place)
    return sweep


def shortened(raw: Raw, where: str) -> dict[str, Any]:
    """What `--quick` puts in place of a file's settings: its `quick` block; without one, few steps and repeats."""
    block = raw.get("quick")
    if block is None:
        steps = [min(QUICK_STEPS, value) for value in _values("steps", raw.get("steps", str(USUAL.steps)), where)]
        repeats = min(QUICK_REPEATS, value_types.own("repeats", raw.get("repeats", str(REPEATS)), where))
        return {"steps": [str(each) for each in dict.fromkeys(steps)], "repeats": str(repeats)}
    if not isinstance(block, Mapping):
        raise ConfigError(f"{where}quick: give settings, like quick: {{steps: 50, repeats: 2}}")
    known = tuple(key for key in keys() if key != "quick")
    return {value_types.known_key(key, known, f"{where}quick: "): value for key, value in block.items()}


def _defaults(settings: Values) -> dict[str, tuple[Any, ...]]:
    """Every other setting of a run, as it is when nobody asks: so that a sweep file says all that its runs are."""
    return {key: (getattr(USUAL, key),) for key in value_types.run_keys() if key not in settings}


def _values(key: str, given: Any, where: str) -> tuple[Any, ...]:
    """The values of a setting, each once: one, or those of a list."""
    several = given if isinstance(given, list) else [given]
    if not several:
        raise ConfigError(f"{where}{key}: the list is empty")
    return tuple(dict.fromkeys(value_types.setting(key, each, where) for each in several))


def _contestants(given: Any, where: str) -> tuple[Contestant, ...]:
    """`strategies`: names, with commas or in a list, and mappings with settings of their own."""
    several = given.split(",") if isinstance(given, str) else given
    if not isinstance(several, list):
        raise ConfigError(f"{where}strategies: give a list, like strategies: [ring, ps-bsp]")
    entries = [each.strip() if isinstance(each, str) else each for each in several]
    found = [_contestant(each, where) for each in entries if each != ""]
    if not found:
        raise ConfigError(f"{where}strategies: the list is empty")
    return tuple(each for number, each in enumerate(found) if each not in found[:number])


def _contestant(given: Any, where: str) -> Contestant:
    if isinstance(given, str):
        strategy_class(given)
        return Contestant(given)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigError(f"{where}strategies: {given!r} is neither a name nor a mapping with a name")
    name = given["name"]
    cls = strategy_class(name)
    settings: dict[str, tuple[Any, ...]] = {}
    for key, value in given.items():
        if key not in ("name", "options"):
            if key in options_of(cls):
                raise ConfigError(f"{where}strategies: {key} is an option of {name}: write options: {{{key}: …}}")
            known = value_types.known_key(
                key, ("name", "options", *value_types.run_keys()), f"{where}strategies: {name}: "
            )
            settings[known] = _values(known, value, f"{where}strategies: {name}: ")
    return Contestant(name, _options(name, given.get("options") or {}, where), settings)


def _options(name: str, given: Any, where: str) -> Values:
    where = f"{where}strategies: {name}: options: "
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}give a mapping, like options: {{staleness: 3}}")
    options: dict[str, tuple[Any, ...]] = {}
    there = options_of(strategy_class(name))
    for key, value in given.items():
        spelled = str(key).replace("-", "_")
        if spelled not in there:
            raise ConfigError(f"{where}no option {key!r}: {suggest(spelled, there) if there else f'{name} has none'}")
        several = value if isinstance(value, list) else [value]
        if not several:
            raise ConfigError(f"{where}{key}: the list is empty")
        options[spelled] = tuple(value_types.option(key, each, where) for each in several)
    return options


def _check(sweep: Sweep, place: Mapping[str, str]) -> None:
    if sweep.repeats < 1:
        raise ConfigError(f"{place.get('repeats', '')}repeats is {sweep.repeats}: give a whole number from 1")
    if not sweep.name or not all(letter.isalnum() or letter in "-_." for letter in sweep.name):
        raise ConfigError(f"{place.get('name', '')}name is {sweep.name!r}: give letters, digits, - and _ for a folder")
