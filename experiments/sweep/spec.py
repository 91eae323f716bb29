"""What a sweep is: contestants, the settings they share, how often each cell runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.config import RunOptions

CEILING, YARDSTICK = "noop", "single"
SHARED = tuple(each.name for each in dataclasses.fields(RunOptions) if not each.name.startswith("strategy"))
SERVERS_ONLY = ("servers", "placement")  # settings that say nothing about a strategy without servers
Values = Mapping[str, tuple[Any, ...]]  # of each setting the values that it takes: more than one are an axis


@dataclass(frozen=True, slots=True)
class Contestant:
    """One entry of `strategies`: a strategy, its options, and settings of its own in place of the sweep's."""

    strategy: str
    options: Values = field(default_factory=dict)
    settings: Values = field(default_factory=dict)

    def written(self) -> str | dict[str, Any]:
        """As it is written in a sweep file: its name, if there is nothing else to say."""
        if not self.options and not self.settings:
            return self.strategy
        options = {"options": written(self.options)} if self.options else {}
        return {"name": self.strategy, **options, **written(self.settings)}


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep with every setting of a run filled in. `settings` come in the order in which they were given."""

    name: str
    question: str
    contestants: tuple[Contestant, ...]
    settings: Values
    repeats: int
    ceiling: bool = True
    yardstick: bool = True
    calibrate: bool = True

    @property
    def everyone(self) -> tuple[Contestant, ...]:
        """The contestants, and the ceiling and the yardstick unless they are among them or switched off."""
        extra = [name for name, wanted in ((YARDSTICK, self.yardstick), (CEILING, self.ceiling)) if wanted]
        there = {each.strategy for each in self.contestants}
        return self.contestants + tuple(Contestant(name) for name in extra if name not in there)

    def to_yaml(self) -> str:
        """The sweep file that says all of this; `reading.read` makes the same sweep from it."""
        return _yaml(self._document())

    def asked_yaml(self) -> str:
        """The shortest sweep file that `reading.read` makes the same sweep from: without what is as usual."""
        usual = {"question": "", "ceiling": True, "yardstick": True, "calibrate": True}
        usual |= {key: written({key: (getattr(RunOptions(), key),)})[key] for key in SHARED}
        document = self._document()
        return _yaml({key: value for key, value in document.items() if key not in usual or value != usual[key]})

    def _document(self) -> dict[str, Any]:
        own = {"ceiling": self.ceiling, "yardstick": self.yardstick, "calibrate": self.calibrate}
        return {
            "name": self.name,
            "question": self.question,
            "strategies": [each.written() for each in self.contestants],
            "repeats": self.repeats,
            **own,
            **written(self.settings),
        }


def _yaml(document: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))


def written(values: Values) -> dict[str, Any]:
    """Settings as a file has them: one value, or a list of several."""
    return {key: text(each[0]) if len(each) == 1 else [text(value) for value in each] for key, each in values.items()}


def text(value: Any) -> Any:
    """A value as it is written in a file and on the command line: layers' sizes with commas, the others as they are."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
