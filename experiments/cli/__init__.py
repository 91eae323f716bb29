"""The verbs of the command line: a module each, with its line of help, its parser and what it does.

`run(arguments)` returns the exit code, or raises ConfigError (bad usage) or CheckFailed. Everything heavy is imported
by the verb that needs it, when it does.
"""

from __future__ import annotations

from typing import Protocol

from jsonargparse import ArgumentParser, Namespace

from experiments.cli import bench, calibrate, compare, demo, env, plot, predict, report, run, sweep, trace
from experiments.cli import list as list_verb


class Verb(Protocol):
    """What a module in this package offers."""

    HELP: str

    def parser(self) -> ArgumentParser: ...

    def run(self, arguments: Namespace) -> int: ...


VERBS: dict[str, Verb] = {
    "demo": demo,
    "run": run,
    "sweep": sweep,
    "bench": bench,
    "compare": compare,
    "plot": plot,
    "report": report,
    "calibrate": calibrate,
    "predict": predict,
    "trace": trace,
    "list": list_verb,
    "env": env,
}
