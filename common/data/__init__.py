"""Data sets by name. Everything needed before a job starts is known without torch; loading imports it late.

A data set with parameters is named `name:key=value,…`, as in `clicks:rows=400000,skew=1.1`; one from elsewhere has
its source behind the colon, as in `npz:<path>`; a user's own is `module:callable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from common.data.clicks import Clicks
from common.data.digits import Digits
from common.data.info import DataInfo, Source, parse_parameters
from common.data.npz import Npz
from common.data.openml import OpenMl
from common.data.synthetic import Synthetic
from common.data.text import Text
from common.data.user_dataset import UserDataset
from common.errors import ConfigError, suggest
from common.util.import_by_name import TARGET

if TYPE_CHECKING:
    from common.data.dataset import Dataset

READERS: Mapping[str, Callable[[str], Source]] = {
    "clicks": partial(parse_parameters, Clicks),
    "npz": Npz.read,
    "openml": OpenMl.read,
    "synthetic": partial(parse_parameters, Synthetic),
    "text": Text.read,
}
DATASETS = {str(source): source.info() for source in (Digits(), Clicks(), Synthetic(), Text())}
ELSEWHERE = {
    "npz:<path>": "arrays x, y (and x_test, y_test) of a NumPy archive",
    "openml:<name>": "openml.org through scikit-learn, kept once downloaded: mnist_784, Fashion-MNIST, CIFAR_10 …",
    "text:<path>": "next byte of a file of your own",
    "module:callable": "gives any map-style torch Dataset, or a pair of them, to train on and to test",
}


def _source(data: str) -> Source:
    """Return the data set that `data` names. ConfigError, one line."""
    name, colon, given = data.partition(":")
    if name in READERS:
        return READERS[name](given)
    if name == "digits":
        if colon:
            raise ConfigError(f"--data {data}: {name} has no parameters; leave {colon + given} out")
        return Digits()
    if TARGET.fullmatch(data):
        return UserDataset(data)
    raise ConfigError(f"unknown data set {name!r}: {suggest(name, {*DATASETS, *READERS})}")


def describe(data: str) -> DataInfo:
    """Return what is known of the data set. ConfigError if there is none, or it cannot be read.

    Blocks for the first use of an `openml` data set, which is downloaded, and for a user's own, which is read.
    """
    return _source(data).info()


def check(data: str) -> None:
    """Read all samples of a user's file. ConfigError unless they are finite. Blocks while a large file is read."""
    source = _source(data)
    if isinstance(source, Npz):
        source.check()


def canonical(data: str) -> str:
    """Return the canonical spelling of `data`: no parameters with default values, full paths. ConfigError."""
    return str(_source(data))


def load(data: str) -> Dataset:
    """Read or generate the data set into memory. ConfigError as `describe`."""
    return _source(data).load()
