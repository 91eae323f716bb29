"""The verb `list`: everything that has a name which options accept."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from common.data import DATASETS, ELSEWHERE
from common.errors import ConfigError
from common.models import MODELS
from common.pipeline.engine import engine_traits
from common.pipeline.partition import PARTITIONERS
from common.pipeline.transform_names import TRANSFORMS
from experiments.cli.output import dump
from experiments.config.argument_parser import JsonOption
from experiments.config.strategies import known, options_of, strategy_class


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """List strategies, models, data sets, partitioners and transforms by name."""


def run(options: Options) -> int:
    """List the names, and what each of them means."""
    about: dict[str, str] = {}
    traits: dict[str, dict[str, Any]] = {}
    for name in known():
        try:
            cls = strategy_class(name)
        except ConfigError as error:  # a broken plug-in does not hide the others
            about[name] = " ".join(str(error).split())
        else:
            about[name] = (cls.__doc__ or "").strip().split("\n")[0]
            traits[name] = {**dataclasses.asdict(engine_traits(cls.traits)), "options": options_of(cls)}
    others = {
        "models": {name: text for name, (_, text) in MODELS.items()},
        "data": {name: info.about for name, info in DATASETS.items()} | ELSEWHERE,
        "partitioners": PARTITIONERS,
        "transforms": TRANSFORMS,
    }
    if options.json:
        strategies = {name: {"about": text, **traits.get(name, {})} for name, text in about.items()}
        dump({"schema": 1, "strategies": strategies, **others})
        return 0
    for title, entries in {"strategies": about, **others}.items():
        print(f"{title}:")
        widest = max(map(len, entries))
        for name, text in entries.items():
            print(f"  {name:<{widest}} {text}")
            if own := traits.get(name, {}).get("options"):
                print(f"  {'':<{widest}} options: {', '.join(f'--strategy.{option}' for option in own)}")
    print("Your own strategy: --strategy module:Class; see README.md. Your own model: --model module:callable.")
    return 0
