"""A data set of the user's own: `module:callable`, which gives any map-style torch Dataset."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.data.arrays import Array, labels, samples, split
from common.data.info import DataInfo
from common.errors import ConfigError
from common.util.import_by_name import call_user_code, import_attribute, import_from_working_folder, suggest_callable

if TYPE_CHECKING:
    from common.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class UserDataset:
    """What the callable at `target` gives, called without arguments.

    That is a map-style Dataset, a fifth of which is held out for testing, or a pair of them, to train on and to test;
    its items are pairs of a sample, as numbers in any array, and a class. Each rank calls it, so it must give
    the same each time. All of it is read into memory, once: what it draws at random stays as drawn.
    """

    target: str

    def __str__(self) -> str:
        return self.target

    def info(self) -> DataInfo:
        """Reads all of it. ConfigError, one line, whatever goes wrong in the user's code."""
        data = _loaded(self.target)
        about = f"your own: {self.target}"
        classes = 1 + max(int(data.train_y.max()), int(data.test_y.max()))
        return DataInfo(__name__, len(data.train_y), len(data.test_y), tuple(data.train_x.shape[1:]), classes, about)

    def load(self) -> Dataset:
        """It, in memory: uint8 stays that, anything else becomes float32. As `info`."""
        return _loaded(self.target)


@functools.lru_cache(maxsize=1)
def _loaded(target: str) -> Dataset:
    import torch

    from common.data.dataset import Dataset

    what = f"--data {target}"
    import_from_working_folder()
    made = call_user_code(what, import_attribute(what, target, suggest_callable))
    parts: tuple[Array, ...]
    if isinstance(made, tuple) and len(made) == 2:
        parts = (*_arrays(what, made[0]), *_arrays(what, made[1]))
        if parts[0].shape[1:] != parts[2].shape[1:]:
            raise ConfigError(
                f"{what}: samples to train on have shape {parts[0].shape[1:]}, others {parts[2].shape[1:]}"
            )
    else:
        x, y = _arrays(what, made)
        if len(y) < 2:
            raise ConfigError(f"{what} has 1 sample: one to train on and one to test are the least")
        to_train, to_test = split(len(y))
        parts = (x[to_train], y[to_train], x[to_test], y[to_test])
    return Dataset(*(torch.from_numpy(part) for part in parts))


def _arrays(what: str, dataset: Any) -> tuple[Array, Array]:
    """All samples and labels of a map-style data set."""
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
