"""What must be known of a data set before anything starts, and how its parameters are read from `name:key=value,…`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from common.errors import ConfigError, suggest

if TYPE_CHECKING:
    from common.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class DataInfo:
    """A data set's module, its sizes, the shape of a sample and what it is.

    `rows`: its samples are ids, 0 … rows-1, to be looked up in a table of so many rows; 0: they are values.
    `labels`: the shape of a sample's label, each element of it a class: () one class, (n,) one for each of n positions.
    """

    module: str
    train_samples: int
    test_samples: int
    shape: tuple[int, ...]
    classes: int
    about: str
    rows: int = 0
    labels: tuple[int, ...] = ()


class Source(Protocol):
    """A data set that was asked for. Both methods raise ConfigError, one line, where it cannot be had."""

    def info(self) -> DataInfo:
        """What is known of it, as cheaply as that can be found out."""

    def load(self) -> Dataset:
        """It, in memory."""


class Parameters(Protocol):
    """A data set that can be chosen in many forms: a frozen dataclass of numbers with defaults.

    Making one raises ConfigError where a number does not fit.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def info(self) -> DataInfo:
        """The data set with these parameters."""

    def load(self) -> Dataset:
        """It, in memory."""


P = TypeVar("P", bound=Parameters)


def parse_parameters(name: str, given: str, kind: Callable[..., P]) -> P:
    """`kind` made from `rows=400000,skew=1.1`, or from nothing: its defaults. ConfigError, one line."""
    usual = {field.name: field.default for field in dataclasses.fields(kind())}
    values: dict[str, Any] = {}
    for part in given.split(",") if given else []:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise ConfigError(f"--data {name}:{given}: {part!r} is not of the form key=value, like rows=1000")
        if key not in usual:
            raise ConfigError(f"--data {name} has no parameter {key!r}: {suggest(key, usual)}")
        if key in values:
            raise ConfigError(f"--data {name}: {key} is given twice")
        values[key] = _number(name, key, value, type(usual[key]))
    return kind(**values)


def _number(name: str, key: str, value: str, kind: type[Any]) -> Any:
    try:
        return kind(value.replace("_", "") if kind is int else value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise out_of_range(name, key, value, what) from None


def format_parameters(name: str, chosen: Parameters) -> str:
    """The text that `read` makes `chosen` from: two that are equal have one text."""
    fields = dataclasses.fields(chosen)
    odd = [f"{each.name}={value}" for each in fields if (value := getattr(chosen, each.name)) != each.default]
    return ":".join([name, ",".join(odd)]) if odd else name


def out_of_range(name: str, key: str, value: object, right: str) -> ConfigError:
    """The error that says what a parameter should be."""
    return ConfigError(f"--data {name}: {key} is {value}: give {right}")


def is_special_file(path: str) -> bool:
    """Whether that is a device, a pipe or a socket: one would wait for what comes out of it, for ever."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
