"""Import of the user's own code by name, `package.module:attribute`, and calls of it; errors are one line."""

import contextlib
import functools
import importlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from common.errors import ConfigError, suggest

TARGET = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(?:\[.*\])?")


def import_from_working_folder() -> None:
    """Let modules in the current folder be imported from now on, as with python -m."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def import_attribute(
    what: str,
    target: str,
    fits: Callable[[object], bool] = callable,
    nothing: str = "it has nothing to call",
) -> Any:
    """Return the attribute named by `target`, `module:name`. Runs the module's code. ConfigError, one line.

    `what` begins the error line. If the module lacks the attribute, the line suggests attributes that `fits` accepts,
    or ends with `nothing` if there are none.
    """
    parts = TARGET.fullmatch(target)
    if parts is None:
        raise ConfigError(f"{what}: {target!r} is not of the form module:name")
    module, name = parts.groups()
    if module.endswith(".py"):
        raise ConfigError(f"{what}: write {module.removesuffix('.py')}:{name}, without .py")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name is not None and f"{module}.".startswith(f"{error.name}.")
        why = "the module does not exist" if missing else str(error)
        raise ConfigError(f"{what}: {why}; give the name of a module in this folder or installed") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what}: importing it failed: {type(error).__name__}: {error}") from error
    try:
        return functools.reduce(getattr, name.split("."), loaded)
    except AttributeError:
        names = [key for key, value in vars(loaded).items() if fits(value) and not key.startswith("_")]
        hint = suggest(name, names) if names else nothing
        raise ConfigError(f"{what}: module {module} has no {name}; {hint}") from None


def call_user_code(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function. Its errors become a ConfigError, one line; its prints go to standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
