"""From the command line to a dataclass of options: parsers are made from what its fields declare."""

from __future__ import annotations

import inspect
import re
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from jsonargparse import ArgumentParser

from common.errors import ConfigError, suggest
from experiments.config.checks import joined
from experiments.config.option import Declared, Option, check_options, declared


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """Output"""

    json: Annotated[bool, Option("print one JSON document on standard output")] = False


@dataclass(frozen=True, kw_only=True)
class InputOptions(JsonOption):
    """Input"""

    runs: Annotated[
        list[str], Option("result folders, folders of them, sweeps, or patterns", positional=True, nargs="+")
    ]


@dataclass(frozen=True, kw_only=True)
class OutputOptions(JsonOption):
    """Output"""

    results: Annotated[str, Option("folder for results")] = "results"


def parse(kind: Any, words: Sequence[str], program: str) -> Any:
    """Read and check the options `kind` from the words of a command line.

    `kind.HIDDEN` lists the classes whose options the command line does not offer. Raises ConfigError, one line;
    SystemExit after --help and --print_config.
    """
    parser = ArgumentParser(prog=program, description=inspect.getdoc(kind), exit_on_error=False, allow_abbrev=False)
    options = [option for option in declared(kind).values() if option.owner not in getattr(kind, "HIDDEN", ())]
    groups: dict[str | None, Any] = {kind.__doc__: parser}
    for option in options:
        title = option.owner.__doc__
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add(groups[title], option)
    try:
        found = vars(parser.parse_args(list(words)))
    except (ArgumentError, ValueError) as error:  # ValueError: a configuration file that is no text
        raise ConfigError(_complaint(str(error), program, options)) from None
    names = {option.name for option in options}
    made = kind(**{name: value for name, value in found.items() if name in names and value is not None})
    check_options(made)
    return made


def _add(group: Any, option: Declared) -> None:
    """Add one argument to a parser or to a group of it."""
    about = option.option
    more: dict[str, Any] = {"help": option.help}
    if about.unit:
        more["metavar"] = about.unit
    if about.nargs:
        more["nargs"] = about.nargs
    if about.positional:
        group.add_argument(option.name, type=str, **more)
    elif about.action:
        group.add_argument(option.flag, action=about.action, **more)
    elif option.type is bool:
        group.add_argument(option.flag, action="store_true", **more)
    elif about.repeated:
        group.add_argument(option.flag, type=option, action="append", default=None, **more)
    elif about.nargs:
        group.add_argument(option.flag, type=str, default=None, **more)
    else:
        default = joined(option.default) if isinstance(option.default, tuple) else option.default
        group.add_argument(option.flag, type=option, default=default, **more)


def _complaint(message: str, program: str, options: Sequence[Declared]) -> str:
    """Say in one line, in the words of the command line, what jsonargparse has found wrong."""
    message = re.sub(r"\s+", " ", message).strip()
    flags = ["--help", *(option.flag for option in options if not option.option.positional)]
    if match := re.match(r"unrecognized arguments: (\S+)", message, re.IGNORECASE):
        wrong = match[1].partition("=")[0]
        return (
            f"unknown option {wrong}: {suggest(wrong, flags)}" if wrong[0] == "-" else f"{wrong!r} is one word too many"
        )
    if match := re.search(r"(?:[Oo]ption|nested key) '([^']*)'", message):
        return f"unknown option {match[1]}: {suggest(f'--{match[1]}', flags)}"
    if match := re.match(r"the following arguments are required: (\w+)", message):
        about = next(option.help for option in options if option.name == match[1])
        return f"{program.removeprefix('syncbench ')}: give {about}; see {program} --help"
    if match := re.match(r"(?:Parser key|argument) \"?-*([\w-]+)\"?: (.*)", message):
        return f"--{match[1]}: {match[2]}"
    return message
