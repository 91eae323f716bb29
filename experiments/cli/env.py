"""The verb `env`: this machine."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from experiments.cli.output import dump
from experiments.config.arguments import plain_parser

HELP = "this machine and its versions"


def parser() -> ArgumentParser:
    return plain_parser("What results on this machine depend on.")


def run(arguments: Namespace) -> int:
    """This machine, as every result records it."""
    from experiments.machine.environment import environment
    from experiments.schema.files import to_builtins

    found = to_builtins(environment())
    if arguments.json:
        dump(found)
        return 0
    for name, value in found.items():
        print(f"{name:<18} {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return 0
