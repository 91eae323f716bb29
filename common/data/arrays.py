"""Other people's arrays as samples and labels: checked, converted to few dtypes, and split."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from common.types import Array

SPLIT_SEED = 0x73706C74  # the split belongs to the data set: it does not change with the seed of a run


def check_samples(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """ConfigError, beginning with `what`, unless x is (n, features) or (n, channels, rows, columns)."""
    if dtype.kind not in "buif":
        raise ConfigError(f"{what} is of dtype {dtype}: give numbers")
    if len(shape) < 2 or 0 in shape:
        raise ConfigError(f"{what} is of shape {shape}: give (samples, features) or (samples, channels, rows, columns)")


def samples(what: str, x: Array) -> Array:
    """Return `x` as uint8 if it holds bytes or booleans, else as float32; copied only if needed. ConfigError."""
    check_samples(what, x.shape, x.dtype)
    check_finite(what, x)
    kind = np.uint8 if x.dtype in (np.uint8, np.bool_) else np.float32
    return np.ascontiguousarray(x, kind)


def check_finite(what: str, x: Array) -> None:
    """ConfigError unless all numbers of `x`, of any shape, are finite as float32."""
    if x.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        numbers = x.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all():
        raise ConfigError(f"{what} has numbers that are not finite as float32: leave out or replace NaN and infinity")


def labels(what: str, y: Array, samples: int) -> NDArray[np.int64]:
    """Return `y`, the class of each sample from 0, as int64 of shape (samples,). ConfigError."""
    if y.dtype.kind not in "bui":
        raise ConfigError(f"{what} is of dtype {y.dtype}: give the class of each sample, a whole number from 0")
    if y.shape != (samples,):
        raise ConfigError(f"{what} is of shape {y.shape}: give one class a sample, shape ({samples},)")
    if y.size and int(y.min()) < 0:
        raise ConfigError(f"{what} has a class {y.min()}: give whole numbers from 0")
    if y.size and int(y.max()) >= 1 << 20:
        raise ConfigError(f"{what} has a class {y.max()}: number the classes from 0")
    return np.ascontiguousarray(y, np.int64)


def held_out_size(what: str, samples: int) -> int:
    """Return how many of `samples` are held out for testing: a fifth, at least one. ConfigError for a single sample."""
    if samples < 2:
        raise ConfigError(f"{what} has 1 sample: one to train on and one to test are the least")
    return max(1, samples // 5)


def split(what: str, x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Hold out the same random samples always; return copies: train x, train y, test x, test y. ConfigError."""
    test = held_out_size(what, len(y))
    drawn = np.random.default_rng(SPLIT_SEED).permutation(len(y))
    to_train, to_test = np.sort(drawn[test:]), np.sort(drawn[:test])
    return x[to_train], y[to_train], x[to_test], y[to_test]
