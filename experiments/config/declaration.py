"""The declaration of an option: its help, unit and check stand beside its type and its default.

    workers: int = option(4, "worker processes", check=at_least(1))

is a field of a frozen dataclass. The command line, YAML files, sweeps and the checks all read it there, so that a new
option is one new field.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from common.errors import ConfigError
from experiments.config.checks import Check, one_of

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a mapping"}
T = TypeVar("T")
REQUIRED = dataclasses.MISSING


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Option:
    """What the user is told about an option, and which values are accepted.

    `check` gets the option's name, as the user wrote it, and a value that is not None; it raises ConfigError. `read`
    makes the value from text or from a YAML value if the type alone does not say how; it raises ValueError. A parser
    calls an Option with text or a YAML value, which it reads and checks.
    """

    help: str
    unit: str = ""  # stands for the value in --help, like SECONDS
    check: Check | None = None
    read: Callable[[Any], Any] | None = None
    flag: str = ""  # on the command line, if it does not follow from the field's name
    positional: bool = False
    nargs: str = ""  # of argparse: how many words the value takes, if it is not one
    repeated: bool = False  # the flag may be given several times
    has_commas: bool = False  # a value may contain commas, so they do not separate values in a sweep
    action: str = ""  # of argparse, if reading and storing the value is not all
    # What the field says:
    name: str = ""
    type: Any = str
    default: Any = None
    owner: Any = None  # the class that declares the option

    def __call__(self, given: Any) -> Any:
        return self.value(given, self.flag)

    def __repr__(self) -> str:
        """The type, as --help shows it."""
        names = {types.NoneType: "null", tuple: "list"}
        return " | ".join(names.get(kind, kind.__name__) for kind in self._types)

    @property
    def _types(self) -> tuple[Any, ...]:
        kinds = typing.get_args(self.type) if isinstance(self.type, types.UnionType) else (self.type,)
        return tuple(typing.get_origin(kind) or kind for kind in kinds)

    def value(self, given: Any, name: str) -> Any:
        """Return the value of text, or of a value from YAML. Raises ConfigError, which begins with `name`."""
        if given in (None, "null") and self.default is None:
            return None
        first, words = self._types[0], " or ".join(WORDS.get(kind, "null") for kind in self._types)
        read = None if given is None else self.read
        try:
            if read is not None:
                value = read(given)
            else:
                plain = first(given) if first in (int, float) and isinstance(given, str) else given
                value = msgspec.convert(plain, self.type, strict=False)
        except ValueError as error:  # msgspec's too
            raise ConfigError(f"{name}: {error if read else f'{given!r} is not {words}'}") from None
        self.verify(value, name)
        return value

    def verify(self, value: Any, name: str) -> None:
        """Raise ConfigError, which begins with `name`, if the option cannot have this value."""
        if value is not None and self.check is not None:
            self.check(name, value)


def option(default: Any, help: str, *, choices: Sequence[str] = (), **more: Any) -> Any:
    """Declare an option; `more` are further attributes of `Option`. REQUIRED as the default: it must be given.

    `choices` are the only values, and stand in the help in place of `{choices}`.
    """
    if choices:
        more.update(check=one_of(*choices))
    about = {"option": Option(help.replace("{choices}", ", ".join(choices)), **more)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=about)
    return dataclasses.field(default=default, metadata=about)


@functools.cache
def declared(kind: Any) -> Mapping[str, Option]:
    """Return the options that a dataclass and its bases declare, by name, in the order of the fields."""
    types_of = typing.get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if about := field.metadata.get("option"):
            name = field.name
            found[name] = dataclasses.replace(
                about,
                flag=about.flag or (name if about.positional else f"--{name.replace('_', '-')}"),
                name=name,
                type=types_of[name],
                default=field.default if field.default_factory is REQUIRED else field.default_factory(),
                owner=next(each for each in kind.__mro__ if name in inspect.get_annotations(each)),
            )
    return types.MappingProxyType(found)


def check_options(options: Any) -> None:
    """Check each value by itself. Raises ConfigError, one line, for the first one that cannot be."""
    kind: Any = type(options)
    for name, about in declared(kind).items():
        about.verify(getattr(options, name), about.flag)


def made_from(kind: Callable[..., T], given: Any, **more: Any) -> T:
    """Return a `kind`, a dataclass, whose fields have the values in `more`, else those that `given` has."""
    shared = {field.name for field in dataclasses.fields(typing.cast(Any, kind))} - more.keys()
    return kind(**{name: getattr(given, name) for name in shared if hasattr(given, name)}, **more)
