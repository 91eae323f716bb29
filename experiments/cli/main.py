"""The command line: verbs, their options, exit codes. Everything heavy is imported by the verb that needs it.

Exit codes: 0 fine, 1 the run failed, 2 bad usage, 3 a check failed, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import ArgumentError
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from common.errors import CheckFailed, ConfigError, suggest
from experiments.cli import VERBS
from experiments.config.arguments import plain_parser

DESCRIPTION = "Parameter server or all-reduce? Run every answer on the same code, and compare."
KINDS = {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "dict": "a mapping"}


def run(argv: list[str]) -> int:
    """Run one command; returns its exit code. Errors are one line on standard error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        options, argv = _strategy_options(argv)
        parser = _parser_of_all()
        try:
            chosen = parser.parse_args(argv)
        except (ArgumentError, ValueError) as error:  # ValueError: a configuration file that is no text
            raise ConfigError(_readable(str(error), argv)) from None
        if chosen.subcommand is None:
            parser.print_help()
            return 2
        arguments = chosen[chosen.subcommand]
        if options and chosen.subcommand != "run":
            raise ConfigError(f"--strategy.{next(iter(options))} belongs to the verb run")
        if chosen.subcommand == "run":
            arguments.strategy_options = {**(arguments.strategy_options or {}), **options}
        code = VERBS[chosen.subcommand].run(arguments)
        _flush()
        return code
    except ConfigError as error:
        return _say(error, 2)
    except CheckFailed as error:
        return _say(error, 3)
    except KeyboardInterrupt as interrupt:
        print("\n".join(["syncbench: interrupted; all ranks have ended", *_notes(interrupt)]), file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:
        return 1  # whoever read standard output has seen enough
    except OSError as error:
        return _say(error, 1)


def _parser_of_all() -> ArgumentParser:
    """All verbs with all their options."""
    parser = ArgumentParser(prog="syncbench", description=DESCRIPTION, exit_on_error=False, allow_abbrev=False)
    verbs = parser.add_subcommands(required=False)
    for name, verb in VERBS.items():
        verbs.add_subcommand(name, verb.parser(), help=verb.HELP)
    return parser


def _option_names(argv: list[str]) -> list[str]:
    """The options of the verb that `argv` has, for error lines; those of all verbs if it has none."""
    parser = next((VERBS[word].parser() for word in argv if word in VERBS), plain_parser(""))
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _say(error: Exception, code: int) -> int:
    print("syncbench:", " ".join(str(error).split()), file=sys.stderr)  # one line, whatever the message quotes
    return code


def _flush() -> None:
    """Write out standard output while an error can still be told; Python would do it when it is too late."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, from elsewhere."""


def _interrupt(number: int, frame: object) -> None:
    """The first signal is the last one heard: what follows is bounded, and must not be left half done."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _strategy_options(argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Take `--strategy.<option> value` out of the arguments; values are read as YAML, so numbers are numbers."""
    options: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        match = re.fullmatch(r"--strategy\.([\w.-]+)(?:=(.*))?", word, re.DOTALL)
        if match is None:
            rest.append(word)
            continue
        name, value = match[1], match[2] if match[2] is not None else next(words, None)
        if value is None or (match[2] is None and value.startswith("--")):
            raise ConfigError(f"--strategy.{name} needs a value")
        try:
            options[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--strategy.{name}: {value!r} is no YAML value") from None
    return options, rest


def _readable(message: str, argv: list[str]) -> str:
    """jsonargparse's message as one line in the words of the command line."""
    message = re.sub(r"\s+", " ", message).strip()
    if match := re.match(r"unrecognized arguments: (-\S+)", message, re.IGNORECASE):
        wrong = match[1].split("=")[0]
        return f"unknown option {wrong}: {suggest(wrong, _option_names(argv))}"
    if match := re.search(r"does not accept (?:option|nested key) '([^']*)'", message):
        return f"unknown option {match[1]}: {suggest(f'--{match[1]}', _option_names(argv))}"
    if match := re.match(r"the following arguments are required: (\w+)\.(\w+)", message):
        verb, name = match.groups()
        about = next(action.help for action in VERBS[verb].parser()._actions if action.dest == name)
        return f"{verb}: give {about}; see syncbench {verb} --help"
    if match := re.search(r"invalid choice: '([^']*)'", message):
        return f"unknown verb {match[1]!r}: {suggest(match[1], VERBS)}"
    if match := re.match(r"(?:Parser key|argument) \"?(?:\w+\.)?-*([\w-]+)\"?: (.*)", message):
        name, rest = match[1], match[2]
        if got := re.search(r"(?:Got|Given) value: (.*)", rest):
            kind = re.search(r"Expected a <class '(\w+)'>", rest)
            return f"--{name}: {got[1]!r} is not {KINDS.get(kind[1] if kind else '', 'what is expected')}"
        for wrong, right in (
            ("invalid sizes value", "give whole numbers with commas, like 256,128, not"),
            ("invalid size value", "give a whole number and a unit, like 4MiB, not"),
        ):
            rest = rest.replace(wrong, right)
        return f"--{name}: {rest}"
    return message
