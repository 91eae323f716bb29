"""From the command line to a dataclass of options: parsers are made from what its fields declare."""

import inspect
import re
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser

from common.errors import ConfigError, suggest
from experiments.config.checks import joined
from experiments.config.declaration import REQUIRED, Option, declared, option


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """Output"""

    json: bool = option(False, "print one JSON document on standard output")


@dataclass(frozen=True, kw_only=True)
class InputOptions(JsonOption):
    """Input"""

    runs: list[str] = option(
        REQUIRED, "result folders, folders of them, sweeps, or patterns", positional=True, nargs="+"
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(JsonOption):
    """Output"""

    results: str = option("results", "folder for results")


def parse(kind: Any, words: Sequence[str], program: str) -> Any:
    """Read the options `kind`, but for those of the classes in `kind.HIDDEN`, from words. ConfigError, SystemExit."""
    parser = ArgumentParser(prog=program, description=inspect.getdoc(kind), exit_on_error=False, allow_abbrev=False)
    options = [about for about in declared(kind).values() if about.owner not in getattr(kind, "HIDDEN", ())]
    groups: dict[str | None, Any] = {kind.__doc__: parser}
    for about in options:
        title = about.owner.__doc__
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(about.flag, help=about.help, **_how_to_read(about))
    try:
        found = vars(parser.parse_args(list(words)))
    except (ArgumentError, ValueError) as error:  # ValueError: a configuration file that is no text
        raise ConfigError(_complaint(str(error), program, options)) from None
    return kind(**{about.name: found[about.name] for about in options if found[about.name] is not None})


def _how_to_read(about: Option) -> dict[str, Any]:
    """Return the keywords of `add_argument` that say how the words of a command line become a value."""
    if about.action or about.type is bool:
        return {"action": about.action or "store_true"}
    words = {key: value for key, value in (("metavar", about.unit), ("nargs", about.nargs)) if value}
    if about.repeated:
        return {"type": about, "action": "append", **words}
    if about.positional or about.nargs:
        return {"type": str, **words}
    default = joined(about.default) if isinstance(about.default, tuple) else about.default
    return {"type": about, "default": default, **words}


def _complaint(message: str, program: str, options: Sequence[Option]) -> str:
    """Say in one line, in the words of the command line, what jsonargparse has found wrong."""
    message = " ".join(message.split())
    flags = ["--help", *(about.flag for about in options if not about.positional)]
    if match := re.match(r"unrecognized arguments: (\S+)", message, re.IGNORECASE):
        wrong = match[1].partition("=")[0]
        if wrong[0] != "-":
            return f"{wrong!r} is one word too many"
        return f"unknown option {wrong}: {suggest(wrong, flags)}"
    if match := re.search(r"(?:[Oo]ption|nested key) '([^']*)'", message):
        return f"unknown option {match[1]}: {suggest(f'--{match[1]}', flags)}"
    if match := re.match(r"the following arguments are required: (\w+)", message):
        wanted = next(about.help for about in options if about.name == match[1])
        return f"{program.removeprefix('syncbench ')}: give {wanted}; see {program} --help"
    if match := re.match(r"(?:Parser key|argument) \"?-*([\w-]+)\"?: (.*)", message):
        return f"--{match[1]}: {match[2]}"
    return message
