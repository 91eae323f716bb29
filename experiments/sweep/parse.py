"""A sweep from a YAML file, flags, or both, checked as `syncbench run` checks its options. Every value is text."""

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigError, suggest
from experiments.config.checks import joined
from experiments.config.declaration import Option
from experiments.config.strategies import options_of, strategy_class
from experiments.sweep.spec import RUN_SETTINGS, SWEEP_SETTINGS, Contestant, Sweep, Values

READY = Path(__file__).parent.parent / "sweeps"
Raw = dict[str, Any]  # keys to texts, lists and mappings of texts
KEYS = (*SWEEP_SETTINGS, "strategies", "quick", *RUN_SETTINGS)  # all that a sweep file can say at its top
QUICK_STEPS, QUICK_REPEATS = 50, 2


def read(
    raw: Raw, flags: Raw, *, quick: Mapping[str, Any] | None = None, where: str = "", name: str = "flags"
) -> Sweep:
    """Return the sweep of `raw`, with `flags` in place of its values; `quick` makes it small. ConfigError, one line."""
    given = {**{_known_key(key, KEYS, where): value for key, value in raw.items()}, **(quick or {}), **flags}
    place = {key: "--" if key in flags else where for key in given}
    if not given.get("strategies"):
        raise ConfigError(f"{where}strategies: give at least one, like strategies: [ring, ps-bsp]")
    settings = {key: _values(key, given[key], place[key]) for key in given if key in RUN_SETTINGS}
    usual = {key: (setting.default,) for key, setting in RUN_SETTINGS.items() if key not in settings}
    own = {key: _value(SWEEP_SETTINGS[key], given[key], place[key]) for key in given if key in SWEEP_SETTINGS}
    return Sweep(
        contestants=_contestants(given["strategies"], f"{place['strategies']}strategies: "),
        settings={**settings, **usual},
        **{"name": name, **own},
    )


def read_given(file: str | None, flags: Raw, quick: bool) -> Sweep:
    """Return the sweep of a file, or of a ready sweep, with `flags`, or of `flags` alone. See `read`."""
    path = None if file is None else find(file)
    if path is None:
        return read({}, flags, quick=shortened(flags, "--") if quick else None)
    raw, where = load(path), f"{path}: "
    return read(raw, flags, quick=shortened(raw, where) if quick else None, where=where, name=path.stem)


def shortened(raw: Raw, where: str) -> dict[str, Any]:
    """Return what `--quick` replaces a file's settings with: its `quick` block, else few steps and repeats."""
    block = raw.get("quick")
    if block is None:
        steps = _values("steps", raw.get("steps", str(RUN_SETTINGS["steps"].default)), where)
        few = dict.fromkeys(str(min(QUICK_STEPS, value)) for value in steps)
        repeats = SWEEP_SETTINGS["repeats"]
        asked = _value(repeats, raw.get("repeats", str(repeats.default)), where)
        return {"steps": list(few), "repeats": str(min(QUICK_REPEATS, asked))}
    if not isinstance(block, Mapping):
        raise ConfigError(f"{where}quick: give settings, like quick: {{steps: 50, repeats: 2}}")
    known = [key for key in KEYS if key != "quick"]
    return {_known_key(key, known, f"{where}quick: "): value for key, value in block.items()}


def _known_key(key: str, known: Collection[str], where: str) -> str:
    """Return `key` in its one spelling (`train-seconds` is `train_seconds`). Raises ConfigError for an unknown key."""
    spelled = str(key).replace("-", "_")
    if spelled not in known:
        raise ConfigError(f"{where}unknown key {key!r}: {suggest(spelled, known)}")
    return spelled


def _value(setting: Option, given: Any, where: str) -> Any:
    """Return one value of a setting, from text, or from a list of texts, which stands for one text with commas."""
    texts = isinstance(given, list) and all(isinstance(each, str) for each in given)
    return setting.value(joined(given) if texts else given, setting.flag if where == "--" else where + setting.name)


def _values(key: str, given: Any, where: str) -> tuple[Any, ...]:
    """Return the values of a setting, each once."""
    return tuple(dict.fromkeys(_value(RUN_SETTINGS[key], each, where) for each in _several(given, f"{where}{key}")))


def _several(given: Any, name: str) -> list[Any]:
    """Return a list as it is, and one value as a list. ConfigError for an empty list."""
    if given == []:
        raise ConfigError(f"{name}: the list is empty")
    return given if isinstance(given, list) else [given]


def _contestants(given: Any, where: str) -> tuple[Contestant, ...]:
    """Read `strategies`: names, with commas or in a list, and mappings with settings of their own."""
    several = given.split(",") if isinstance(given, str) else given
    if not isinstance(several, list):
        raise ConfigError(f"{where}give a list, like strategies: [ring, ps-bsp]")
    found = []
    for each in _several([each for each in several if each and str(each).strip()], where.removesuffix(": ")):
        contestant = _contestant(each, where)
        found += [contestant] if contestant not in found else []
    return tuple(found)


def _contestant(given: Any, where: str) -> Contestant:
    entry = {"name": given.strip()} if isinstance(given, str) else given
    if not isinstance(entry, Mapping) or not isinstance(name := entry.get("name"), str):
        raise ConfigError(f"{where}{given!r} is neither a name nor a mapping with a name")
    own, here = options_of(strategy_class(name)), f"{where}{name}: "
    settings: dict[str, tuple[Any, ...]] = {}
    for key, value in entry.items():
        if key in own:
            raise ConfigError(f"{where}{key} is an option of {name}: write options: {{{key}: …}}")
        known = _known_key(key, ("name", "options", *RUN_SETTINGS), here)
        if known in RUN_SETTINGS:
            settings[known] = _values(known, value, here)
    return Contestant(name, _options(name, own, entry.get("options") or {}, f"{here}options: "), settings)


def _options(name: str, own: Collection[str], given: Any, where: str) -> Values:
    """Read the options of a strategy: YAML values, as after `--strategy.<option>`."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}give a mapping, like options: {{staleness: 3}}")
    options: dict[str, tuple[Any, ...]] = {}
    for key, value in given.items():
        spelled = str(key).replace("-", "_")
        if spelled not in own:
            raise ConfigError(f"{where}no option {key!r}: {suggest(spelled, own) if own else f'{name} has none'}")
        several = _several(value, f"{where}{key}")
        try:
            options[spelled] = tuple(yaml.safe_load(each) if isinstance(each, str) else each for each in several)
        except yaml.YAMLError:
            raise ConfigError(f"{where}{key}: {value!r} is no YAML value") from None
    return options


class _Texts(yaml.BaseLoader):  # type: ignore[misc]
    """Reads every scalar as text: `3:4` stays `3:4`, and `off` stays `off`. The setting says what the text means."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def ready() -> dict[str, Path]:
    """Return the files of the sweeps that come with the project, by name."""
    return {path.stem: path for path in sorted(READY.glob("*.yaml"))}


def find(given: str) -> Path:
    """Return the file of this path, or of the ready sweep with this name. ConfigError that names near ones."""
    path = Path(given)
    if path.is_file():
        return path
    if given in ready():
        return ready()[given]
    if (path / "sweep.yaml").is_file():
        raise ConfigError(f"{given} is a sweep that was begun: go on with it with --resume {given}")
    if path.is_dir():
        raise ConfigError(f"{given} is a folder: give a sweep file, or one of {', '.join(ready())}")
    siblings = [str(each) for each in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    raise ConfigError(f"no such sweep file: {given}: {suggest(given, [*siblings, *ready()])}")


def load(path: Path) -> Raw:
    """Return the content of a sweep file. Raises ConfigError, one line, if it is no YAML mapping."""
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.load(file, _Texts)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem or 'no YAML'}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path} is no YAML") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no sweep file: give keys and values, like workers: [1, 2, 4]")
    return found
