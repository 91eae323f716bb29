"""Data sets by name. What must be known before anything starts stands here; loading imports the rest late.

A data set with parameters is asked for as `name:key=value,…`: `clicks:rows=400000,skew=1.1`; one that comes from
elsewhere by what follows the colon: `npz:<path>`; the user's own as `module:callable`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.data.clicks import Clicks
from common.data.info import DataInfo, Parameters, Source, format_parameters, parse_parameters
from common.data.npz import Npz
from common.data.openml import OpenMl
from common.data.synthetic import Synthetic
from common.data.text import Text
from common.data.user_dataset import UserDataset
from common.errors import ConfigError, suggest
from common.util.import_by_name import TARGET

if TYPE_CHECKING:
    from common.data.dataset import Dataset

__all__ = ["DATASETS", "ELSEWHERE", "DataInfo", "canonical", "check", "describe", "load"]

PARAMETERS: dict[str, type[Clicks] | type[Synthetic]] = {"clicks": Clicks, "synthetic": Synthetic}
DATASETS = {
    "digits": DataInfo(
        "common.data.digits",
        1437,
        360,
        (1, 8, 8),
        10,
        "1,797 handwritten digits, 8×8 grey (UCI; scikit-learn, offline)",
    ),
    **{name: kind().info() for name, kind in PARAMETERS.items()},
    "text": Text().info(),
}
READ: Mapping[str, Callable[[str], Source]] = {"npz": Npz.read, "openml": OpenMl.read, "text": Text.read}
ELSEWHERE = {
    "npz:<path>": "arrays x, y (and x_test, y_test) of a NumPy archive",
    "openml:<name>": "openml.org through scikit-learn, kept once downloaded: mnist_784, Fashion-MNIST, CIFAR_10 …",
    "text:<path>": "next byte of a file of your own",
    "module:callable": "gives any map-style torch Dataset, or a pair of them, to train on and to test",
}


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A data set without a choice."""

    name: str

    def __str__(self) -> str:
        return self.name

    def info(self) -> DataInfo:
        return DATASETS[self.name]

    def load(self) -> Dataset:
        dataset: Dataset = importlib.import_module(DATASETS[self.name].module).load()
        return dataset


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A data set with parameters, and those."""

    name: str
    parameters: Parameters

    def __str__(self) -> str:
        return format_parameters(self.name, self.parameters)

    def info(self) -> DataInfo:
        return self.parameters.info()

    def load(self) -> Dataset:
        return self.parameters.load()


def _source(data: str) -> Source:
    """The data set that `data` names. ConfigError, one line."""
    name, colon, given = data.partition(":")
    if name in READ:
        return READ[name](given)
    if name in PARAMETERS:
        return _Chosen(name, parse_parameters(name, given, PARAMETERS[name]))
    if name in DATASETS:
        if colon:
            raise ConfigError(f"--data {data}: {name} has no parameters; leave {colon + given} out")
        return _Fixed(name)
    if TARGET.fullmatch(data):
        return UserDataset(data)
    raise ConfigError(f"unknown data set {name!r}: {suggest(name, {*DATASETS, *READ})}")


def describe(data: str) -> DataInfo:
    """What is known of the data set `data`. ConfigError if there is none, or it cannot be had.

    At once, but for `openml` the first time, which blocks until it is downloaded, and the user's own, which is read.
    """
    return _source(data).info()


def check(data: str) -> None:
    """Look at the samples of a file of the user's, which `describe` leaves unread: ConfigError for what is no number.

    Blocks while a large file is read.
    """
    source = _source(data)
    if isinstance(source, Npz):
        source.check()


def canonical(data: str) -> str:
    """`data` in the one way to write it: no parameters that are as usual, paths in full. ConfigError as `describe`."""
    return str(_source(data))


def load(data: str) -> Dataset:
    """The data set `data`, read or generated into memory. ConfigError as `describe`."""
    return _source(data).load()
