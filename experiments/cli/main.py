"""The command line: choose the verb, read its options, turn errors into one line and an exit code.

Exit codes: 0 fine, 1 the run failed, 2 bad usage, 3 a check failed, 130 interrupted, 143 terminated.
"""

import dataclasses
import importlib
import os
import re
import signal
import sys
from typing import Any

import yaml

from common.errors import CheckFailed, ConfigError, JobFailed, RunError, suggest

# Each verb and what it does. Its module in this package has the same name.
VERBS = {
    "demo": "train with all strategies on real data: table, check, plots",
    "run": "train with one strategy",
    "sweep": "run a grid of settings, from a file or flags, each several times in turns",
    "bench": "time the exchanges of strategies alone: seconds and bandwidth",
    "compare": "give the verdict on runs or a sweep, after checking that they computed the same thing",
    "plot": "draw charts of runs: PNG, SVG, and their numbers as CSV",
    "report": "write one HTML page: verdict, table, charts, bottlenecks, how to repeat it",
    "calibrate": "measure what a message and a byte cost on this machine, for predict: α, β, γ of each transport",
    "predict": "compute how long each strategy's exchange should take, and where the fastest one changes",
    "trace": "show which ranks the others waited for in a traced run, and where to open its trace",
    "list": "list strategies, models, data sets, partitioners, transforms",
    "env": "show this machine and its versions",
}
USAGE = f"""usage: syncbench VERB [options]

Parameter server or all-reduce? Run every answer on the same code, and compare.

verbs:
{chr(10).join(f"  {name:<10} {about}" for name, about in VERBS.items())}

syncbench VERB --help lists the options of a verb."""


def run(words: list[str]) -> int:
    """Run one command and return its exit code. Errors are one line on standard error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = _run(words)
        _flush()
        return code
    except ConfigError as error:
        return _say(error, 2)
    except CheckFailed as error:
        return _say(error, 3)
    except KeyboardInterrupt as interrupt:
        notes: list[str] = getattr(interrupt, "__notes__", [])
        print("\n".join(["syncbench: interrupted; all ranks have ended", *notes]), file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:
        return 1  # the reader of standard output has seen enough
    except (OSError, RunError) as error:
        return _say(error, 1)


def _run(words: list[str]) -> int:
    own, words = strategy_options(words)
    verb = words[0] if words else ""
    if verb in ("", "-h", "--help"):
        print(USAGE)
        if verb:
            raise SystemExit(0)
        return 2
    if verb.startswith("-"):
        raise ConfigError(f"unknown option {verb}: {suggest(verb, ['--help', '--json'])}")
    if verb not in VERBS:
        raise ConfigError(f"unknown verb {verb!r}: {suggest(verb, VERBS)}")
    if own and verb != "run":
        raise ConfigError(f"--strategy.{next(iter(own))} belongs to the verb run")
    from experiments.cli.output import say_failed  # late, both: --help needs neither jsonargparse nor numpy
    from experiments.config.argument_parser import parse

    module = importlib.import_module(f"experiments.cli.{verb}")
    options = parse(module.Options, words[1:], f"syncbench {verb}")
    if own:
        options = dataclasses.replace(options, strategy_options={**options.strategy_options, **own})
    try:
        code: int = module.run(options)
    except JobFailed as failure:
        return say_failed(failure, options.json)
    return code


def strategy_options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Take `--strategy.<option> value` out of the words. Values are read as YAML, so numbers become numbers."""
    options: dict[str, Any] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        match = re.fullmatch(r"--strategy\.([\w.-]+)(?:=(.*))?", word, re.DOTALL)
        if match is None:
            rest.append(word)
            continue
        name, value = match[1], match[2] if match[2] is not None else next(left, None)
        if value is None or (match[2] is None and value.startswith("--")):
            raise ConfigError(f"--strategy.{name} needs a value")
        try:
            options[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--strategy.{name}: {value!r} is no YAML value") from None
    return options, rest


def _say(error: Exception, code: int) -> int:
    print("syncbench:", " ".join(str(error).split()), file=sys.stderr)  # one line, whatever the message quotes
    return code


def _flush() -> None:
    """Write out standard output while an error can still be reported; Python itself would do it too late."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


def _interrupt(number: int, frame: object) -> None:
    """End the command. Later signals are ignored: the cleaning up is short, and must not be left half done."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
