"""The verb `env`: this machine."""

from dataclasses import dataclass

from experiments.cli.output import dump
from experiments.config.argument_parser import JsonOption
from experiments.machine.environment import environment
from experiments.schema.files import to_builtins


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """Show everything that results on this machine depend on."""


def run(options: Options) -> int:
    """Show this machine as every result records it."""
    found = environment()
    if options.json:
        dump(found)
        return 0
    for name, value in to_builtins(found).items():
        print(f"{name:<18} {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return 0
