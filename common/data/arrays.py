"""Arrays that somebody else made, as samples and labels: checked, in as few dtypes as there must be, and split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError

SPLIT_SEED = 0x73706C74  # the split is part of the data set: it does not change with the seed of a run
Array = NDArray[Any]


def check_samples(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """ConfigError unless arrays of this shape and dtype can be samples: (n, features) or (n, channels, rows, columns).

    `what` begins the error line.
    """
    if dtype.kind not in "buif":
        raise ConfigError(f"{what} is of dtype {dtype}: give numbers")
    if len(shape) < 2 or 0 in shape:
        raise ConfigError(f"{what} is of shape {shape}: give (samples, features) or (samples, channels, rows, columns)")


def samples(what: str, x: Array) -> Array:
    """`x` as uint8, if that is what it is, else as float32; not copied where it need not be. ConfigError."""
    check_samples(what, x.shape, x.dtype)
    check_finite(what, x)
    kind = np.uint8 if x.dtype in (np.uint8, np.bool_) else np.float32
    return np.ascontiguousarray(x, kind)


def check_finite(what: str, x: Array) -> None:
    """ConfigError unless all of `x`, of any shape and a dtype of numbers, can be trained on as float32."""
    if x.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        numbers = x.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all():
        raise ConfigError(f"{what} has numbers that are not finite as float32: leave out or replace NaN and infinity")


def labels(what: str, y: Array, samples: int) -> NDArray[np.int64]:
    """`y`, the class of each sample, 0 …, as int64 of shape (samples,). ConfigError."""
    if y.dtype.kind not in "bui":
        raise ConfigError(f"{what} is of dtype {y.dtype}: give the class of each sample, a whole number from 0")
    if y.shape != (samples,):
        raise ConfigError(f"{what} is of shape {y.shape}: give one class a sample, shape ({samples},)")
    if y.size and int(y.min()) < 0:
        raise ConfigError(f"{what} has a class {y.min()}: give whole numbers from 0")
    if y.size and int(y.max()) >= 1 << 20:
        raise ConfigError(f"{what} has a class {y.max()}: number the classes from 0")
    return np.ascontiguousarray(y, np.int64)


def test_size(samples: int) -> int:
    """How many of `samples` are for testing where nobody said which: a fifth, at least one."""
    return max(1, samples // 5)


def split(samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on and indices held out, drawn at random, always alike; both in the order of the samples."""
    drawn = np.random.default_rng(SPLIT_SEED).permutation(samples)
    test = test_size(samples)
    return np.sort(drawn[test:]), np.sort(drawn[:test])
