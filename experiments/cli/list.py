"""The verb `list`: what can be asked for by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import ConfigError
from common.pipeline.engine import engine_traits
from experiments.cli.output import dump
from experiments.config.arguments import plain_parser
from experiments.config.strategies import strategy_class

HELP = "strategies, models, data sets, partitioners, transforms"


def parser() -> ArgumentParser:
    return plain_parser("What can be asked for.")


def run(arguments: Namespace) -> int:
    """What can be asked for by name."""
    from common.data import DATASETS, ELSEWHERE
    from common.models import MODELS
    from common.pipeline.partition import PARTITIONERS
    from common.pipeline.transform_names import TRANSFORMS
    from experiments.config.strategies import known, options_of

    about: dict[str, str] = {}
    traits: dict[str, dict[str, Any]] = {}
    for name in known():
        try:
            cls = strategy_class(name)
        except ConfigError as error:  # a plug-in that is broken does not take the others away
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
    if arguments.json:
        strategies = {name: {"about": text, **traits.get(name, {})} for name, text in about.items()}
        dump({"schema": 1, "strategies": strategies, **others})
        return 0
    sections = {"strategies": about, **others}
    for title, entries in sections.items():
        print(f"{title}:")
        widest = max(map(len, entries))
        for name, text in entries.items():
            print(f"  {name:<{widest}} {text}")
            if options := traits.get(name, {}).get("options"):
                print(f"  {'':<{widest}} options: {', '.join(f'--strategy.{option}' for option in options)}")
    print("Your own strategy: --strategy module:Class; see README.md. Your own model: --model module:callable.")
    return 0
