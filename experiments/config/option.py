"""The declaration of an option: its help, unit, choices and check stand beside its type and its default.

    workers: Annotated[int, Option("worker processes", check=at_least(1))] = 4

is a field of a frozen dataclass. The command line, YAML files, sweeps and the checks all read it there, so that a new
option is one new field.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from common.errors import ConfigError
from experiments.config.checks import Check, one_of

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a mapping"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """What the user is told about an option, and what is accepted.

    `help` may contain `{choices}`. `check` gets the option's name, as the user wrote it, and a value that is not None;
    it raises ConfigError. `read` makes the value from text or a YAML value, where the type alone does not say how; it
    raises ValueError.
    """

    help: str
    unit: str = ""  # stands for the value in --help, like SECONDS
    choices: Collection[str] = ()
    check: Check | None = None
    read: Callable[[Any], Any] | None = None
    flag: str = ""  # if it does not follow from the field's name
    positional: bool = False
    nargs: str = ""  # of argparse: how many words the value takes, if it is not one
    repeated: bool = False  # the flag may be given several times
    has_commas: bool = False  # a value may contain commas, so they do not separate values in a sweep
    action: str = ""  # of argparse, if reading and storing the value is not all


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Declared:
    """An option together with what its field says. Called with text or a YAML value, it reads and returns the value."""

    name: str
    type: Any
    default: Any
    option: Option
    owner: type  # the class that declares the option

    def __call__(self, given: Any) -> Any:
        return self.read(given, self.flag)

    def __repr__(self) -> str:
        """The type, as --help shows it."""
        names = {types.NoneType: "null", tuple: "list"}
        return " | ".join(names.get(kind, kind.__name__) for kind in self._types)

    @property
    def flag(self) -> str:
        """How the command line names the option."""
        return self.option.flag or (self.name if self.option.positional else f"--{self.name.replace('_', '-')}")

    @property
    def help(self) -> str:
        """The help text with the choices filled in."""
        return self.option.help.replace("{choices}", ", ".join(self.option.choices))

    @property
    def _types(self) -> tuple[Any, ...]:
        kinds = typing.get_args(self.type) if isinstance(self.type, types.UnionType) else (self.type,)
        return tuple(typing.get_origin(kind) or kind for kind in kinds)

    def read(self, given: Any, name: str) -> Any:
        """The value that `given`, text or a value from YAML, stands for. ConfigError that begins with `name`."""
        if given is None or given == "null":
            if self.default is None:
                return None
        elif self.option.read is not None:
            try:
                return self.option.read(given)
            except ValueError as error:
                raise ConfigError(f"{name}: {error}") from None
        try:
            plain = self._types[0](given) if self._types[0] in (int, float) and isinstance(given, str) else given
            return msgspec.convert(plain, self.type, strict=False)
        except (ValueError, msgspec.ValidationError):
            words = " or ".join(WORDS.get(kind, "null") for kind in self._types)
            raise ConfigError(f"{name}: {given!r} is not {words}") from None

    def check(self, value: Any, name: str = "") -> None:
        """Raise ConfigError, which begins with `name`, if the option cannot have this value."""
        name = name or self.flag
        if value is None:
            return
        if self.option.choices:
            one_of(*self.option.choices)(name, value)
        if self.option.check is not None:
            self.option.check(name, value)


@functools.cache
def declared(options: Any) -> Mapping[str, Declared]:
    """Return the options that a dataclass and its bases declare, by name, in the order of the fields."""
    hints = typing.get_type_hints(options, include_extras=True)
    found = {}
    for field in dataclasses.fields(options):
        for option in getattr(hints[field.name], "__metadata__", ()):
            kind = hints[field.name].__origin__
            owner = next(each for each in options.__mro__ if field.name in inspect.get_annotations(each))
            found[field.name] = Declared(field.name, kind, _default(field), option, owner)
    return types.MappingProxyType(found)


def _default(field: dataclasses.Field[Any]) -> Any:
    """The field's default; `dataclasses.MISSING` if the option must be given."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def check_options(options: Any) -> None:
    """Check each value by itself. Raises ConfigError, one line, for the first one that cannot be."""
    kind: Any = type(options)
    for name, option in declared(kind).items():
        option.check(getattr(options, name))


def made_from(kind: Callable[..., T], given: Any, **more: Any) -> T:
    """A dataclass of this kind: fields that `given` has too get their value from there, those in `more` from there."""
    shared = {field.name for field in dataclasses.fields(typing.cast(Any, kind))} - more.keys()
    return kind(**{name: getattr(given, name) for name in shared if hasattr(given, name)}, **more)
