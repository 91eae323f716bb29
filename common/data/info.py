"""Descriptions of data sets, known before anything starts, and data sets with parameters, `name:key=value,…`."""

from __future__ import annotations

import dataclasses
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, suggest
from common.types import Array

if TYPE_CHECKING:
    from common.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class DataInfo:
    """A data set's sizes, the shape of a sample, and a phrase about it.

    `rows`: samples are ids, 0 … rows-1, for a table of that many rows; 0: samples are values.
    `labels`: the shape of a sample's label, each element a class: () one class, (n,) a class for each of n positions.
    """

    train_samples: int
    test_samples: int
    shape: tuple[int, ...]
    classes: int
    about: str
    rows: int = 0
    labels: tuple[int, ...] = ()


class Source(Protocol):
    """A data set that was asked for; its text is the canonical spelling. Methods raise ConfigError, one line."""

    def info(self) -> DataInfo:
        """Return what is known of it, at the least cost."""

    def load(self) -> Dataset:
        """Read or generate it into memory."""


class Generated(Source, ABC):
    """A generated data set: a frozen dataclass of its parameters. ConfigError for a number out of range."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    name: ClassVar[str]
    samples: int  # to train on

    @property
    def test_samples(self) -> int:
        """Test samples, in addition to the training samples."""
        return max(1, self.samples // 10)

    @abstractmethod
    def generate(self) -> tuple[Array, NDArray[np.int64]]:
        """Return all samples, those for testing last, and their labels."""

    def load(self) -> Dataset:
        """Generate it."""
        from common.data.dataset import Dataset

        x, y = self.generate()
        return Dataset.of(x[: self.samples], y[: self.samples], x[self.samples :], y[self.samples :])

    def __str__(self) -> str:
        fields = dataclasses.fields(self)
        chosen = [f"{each.name}={value}" for each in fields if (value := getattr(self, each.name)) != each.default]
        return f"{self.name}:{','.join(chosen)}" if chosen else self.name

    def out_of_range(self, key: str, right: str) -> ConfigError:
        """Return the error that says what the parameter `key` should be."""
        return ConfigError(f"--data {self.name}: {key} is {getattr(self, key)}: give {right}")


def parse_parameters(kind: type[Generated], given: str) -> Generated:
    """Return a `kind` with the parameters `rows=400000,skew=1.1`, or with its defaults. ConfigError, one line."""
    name, defaults = kind.name, {field.name: field.default for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for part in given.split(",") if given else []:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise ConfigError(f"--data {name}:{given}: {part!r} is not of the form key=value, like rows=1000")
        if key not in defaults:
            raise ConfigError(f"--data {name} has no parameter {key!r}: {suggest(key, defaults)}")
        if key in values:
            raise ConfigError(f"--data {name}: {key} is given twice")
        whole = isinstance(defaults[key], int)
        try:
            values[key] = int(value.replace("_", "")) if whole else float(value)
        except ValueError:
            right = "a whole number" if whole else "a number"
            raise ConfigError(f"--data {name}: {key} is {value}: give {right}") from None
    return kind(**values)


def is_special_file(path: str) -> bool:
    """Whether `path` is a device, a pipe or a socket, from which a read might block for ever."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
