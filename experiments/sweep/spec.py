"""What a sweep is: contestants, the settings they share, how often each cell runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.config import RunOptions
from experiments.config.checks import at_least, joined, rule
from experiments.config.declaration import REQUIRED, declared, option
from experiments.config.strategies import StrategyOptions

CEILING, YARDSTICK = "noop", "single"
SERVERS_ONLY = ("servers", "placement")  # settings that say nothing about a strategy without servers
Values = Mapping[str, tuple[Any, ...]]  # of each setting the values that it takes: more than one are an axis

RUN_SETTINGS = {name: setting for name, setting in declared(RunOptions).items() if setting.owner is not StrategyOptions}
_FOLDER_NAME = rule("letters, digits, - and _ for a folder", lambda name: bool(re.fullmatch(r"[\w.-]+", name)))


@dataclass(frozen=True, slots=True)
class Contestant:
    """One entry of `strategies`: a strategy, its options, and settings of its own in place of the sweep's."""

    strategy: str
    options: Values = field(default_factory=dict)
    settings: Values = field(default_factory=dict)

    def written(self) -> str | dict[str, Any]:
        """Return the entry as a sweep file has it: the name alone if there is nothing else to say."""
        if not self.options and not self.settings:
            return self.strategy
        options = {"options": written(self.options)} if self.options else {}
        return {"name": self.strategy, **options, **written(self.settings)}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep with every setting of a run filled in. `settings` come in the order in which they were given."""

    contestants: tuple[Contestant, ...]
    settings: Values
    name: str = option(REQUIRED, "name of the sweep, for its folder", check=_FOLDER_NAME)
    question: str = option("", "the question that the sweep is to answer")
    repeats: int = option(5, "how often each cell runs, in turns", check=at_least(1))
    ceiling: bool = option(True, "whether noop, training without synchronisation, is among the contestants")
    yardstick: bool = option(True, "whether single, one process on the whole batch, is among the contestants")
    calibrate: bool = option(True, "whether the transports are measured first, for predictions")

    @property
    def everyone(self) -> tuple[Contestant, ...]:
        """The contestants, with the ceiling and the yardstick unless they are among them or switched off."""
        extra = [name for name, wanted in ((YARDSTICK, self.yardstick), (CEILING, self.ceiling)) if wanted]
        named = {each.strategy for each in self.contestants}
        return self.contestants + tuple(Contestant(name) for name in extra if name not in named)

    def to_yaml(self) -> str:
        """Return the sweep file that says all of this; `parse.read` makes the same sweep from it."""
        return _yaml(self._document())

    def asked_yaml(self) -> str:
        """Return the shortest sweep file for the same sweep: without the settings that have their default."""
        usual = {key: text(setting.default) for key, setting in {**RUN_SETTINGS, **SWEEP_SETTINGS}.items()}
        del usual["repeats"]  # which a reader wants to see
        return _yaml({key: value for key, value in self._document().items() if key not in usual or value != usual[key]})

    def _document(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in SWEEP_SETTINGS}
        head = {key: own.pop(key) for key in ("name", "question")}
        strategies = [each.written() for each in self.contestants]
        return {**head, "strategies": strategies, **own, **written(self.settings)}


SWEEP_SETTINGS = declared(Sweep)


def _yaml(document: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))


def written(values: Values) -> dict[str, Any]:
    """Return settings as a file has them: one value, or a list of several."""
    return {key: text(each[0]) if len(each) == 1 else [text(value) for value in each] for key, each in values.items()}


def text(value: Any) -> Any:
    """Return a value as files and the command line have it: sizes of layers with commas, others unchanged."""
    return joined(value) if isinstance(value, tuple) else value
