"""Sweep files: how they are found, and read as YAML in which every value is text."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigError, suggest

READY = Path(__file__).parent.parent / "sweeps"
Raw = dict[str, Any]  # keys to texts, lists and mappings of texts


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
