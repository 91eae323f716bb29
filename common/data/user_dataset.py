"""A user's own data set: `module:callable` returns any map-style torch Dataset."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.data.arrays import labels, samples, split
from common.data.info import DataInfo
from common.errors import ConfigError
from common.types import Array
from common.util.import_by_name import call_user_code, import_attribute, import_from_working_folder

if TYPE_CHECKING:
    from common.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class UserDataset:
    """The result of the callable at `target`, called without arguments.

    It is a map-style Dataset, of which a fifth is held out for testing, or a pair of them, for training and for
    testing. Its items are pairs of a sample, as numbers in any array, and a class. Every rank calls it, so it must
    return the same each time. All of it is read into memory once, so random transforms are drawn once.
    """

    target: str

    def __str__(self) -> str:
        return self.target

    def info(self) -> DataInfo:
        """Return its sizes; reads all of it. ConfigError, one line, for every error in the user's code."""
        data = _loaded(self.target)
        about = f"your own: {self.target}"
        classes = 1 + max(int(data.train_y.max()), int(data.test_y.max()))
        return DataInfo(len(data.train_y), len(data.test_y), tuple(data.train_x.shape[1:]), classes, about)

    def load(self) -> Dataset:
        """Return all of it: bytes stay uint8, other numbers become float32. ConfigError as `info`."""
        return _loaded(self.target)


@functools.lru_cache(maxsize=1)
def _loaded(target: str) -> Dataset:
    from common.data.dataset import Dataset

    what = f"--data {target}"
    import_from_working_folder()
    made = call_user_code(what, import_attribute(what, target))
    if not (isinstance(made, tuple) and len(made) == 2):
        return Dataset.of(*split(what, *_arrays(what, made)))
    (x, y), (test_x, test_y) = _arrays(what, made[0]), _arrays(what, made[1])
    if x.shape[1:] != test_x.shape[1:]:
        raise ConfigError(f"{what}: samples to train on have shape {x.shape[1:]}, others {test_x.shape[1:]}")
    return Dataset.of(x, y, test_x, test_y)


def _arrays(what: str, dataset: Any) -> tuple[Array, Array]:
    """Return all samples and labels of a map-style data set."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise ConfigError(f"{what} gave a {type(dataset).__name__}: give a torch Dataset with __len__ and __getitem__")
    pairs = call_user_code(what, lambda: [dataset[index] for index in range(len(dataset))])
    if not pairs:
        raise ConfigError(f"{what} has no samples")
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ConfigError(f"{what} has items that are no pair of a sample and its class")
    x = call_user_code(f"{what}: samples", lambda: np.stack([np.asarray(sample) for sample, _ in pairs]))
    y = call_user_code(f"{what}: classes", lambda: np.array([int(label) for _, label in pairs]))
    return samples(f"{what}: samples", x), labels(f"{what}: classes", y, len(x))
