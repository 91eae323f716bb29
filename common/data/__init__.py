"""Data sets by name. What must be known before anything starts stands here; loading imports the rest late.

A data set with parameters is asked for as `name:key=value,…`: `clicks:rows=400000,skew=1.1`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from common.data.clicks import Clicks
from common.data.info import DataInfo, Parameters, read, written
from common.errors import ConfigError, suggest

if TYPE_CHECKING:
    from common.data.dataset import Dataset

__all__ = ["DATASETS", "DataInfo", "canonical", "describe", "load"]

PARAMETERS: dict[str, type[Clicks]] = {"clicks": Clicks}
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
}


def _chosen(data: str) -> tuple[str, Parameters | None]:
    """The name of a data set, and its parameters if it has any. ConfigError, one line."""
    name, colon, given = data.partition(":")
    if name not in DATASETS:
        raise ConfigError(f"unknown data set {name!r}: {suggest(name, DATASETS)}")
    if name in PARAMETERS:
        return name, read(name, given, PARAMETERS[name])
    if colon:
        raise ConfigError(f"--data {data}: {name} has no parameters; leave {colon + given} out")
    return name, None


def describe(data: str) -> DataInfo:
    """What is known of the data set `data`, a name with or without parameters. ConfigError if there is none."""
    name, parameters = _chosen(data)
    return DATASETS[name] if parameters is None else parameters.info()


def canonical(data: str) -> str:
    """`data` in the one way to write it: without parameters that are as usual. ConfigError as `describe`."""
    name, parameters = _chosen(data)
    return name if parameters is None else written(name, parameters)


def load(data: str) -> Dataset:
    """The data set `data`, with or without parameters, read or generated into memory. ConfigError as `describe`."""
    name, parameters = _chosen(data)
    if parameters is not None:
        return parameters.load()
    dataset: Dataset = importlib.import_module(DATASETS[name].module).load()
    return dataset
