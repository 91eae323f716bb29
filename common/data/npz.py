"""A data set in a NumPy archive: `x` and `y`, and `x_test` and `y_test`, or a part is split off. Never a pickle."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from common.data.arrays import Array, check_finite, check_samples, labels, samples, split, test_size
from common.data.info import DataInfo, is_special_file
from common.errors import ConfigError

if TYPE_CHECKING:
    from common.data.dataset import Dataset

TESTS = ("x_test", "y_test")
AT_ONCE = 1 << 22  # bytes of an array that are looked at together


@dataclass(frozen=True, slots=True)
class Npz:
    """The archive at `path`. `name` is what it is called in error lines."""

    path: str
    name: str

    @classmethod
    def read(cls, given: str) -> Npz:
        """What follows `npz:`. ConfigError if nothing does."""
        if not given:
            raise ConfigError("--data npz: give the path of a file, like npz:digits.npz")
        path = os.path.abspath(os.path.expanduser(given))
        return cls(path, f"npz:{path}")

    def __str__(self) -> str:
        return self.name

    def info(self) -> DataInfo:
        """From the labels and the header of the samples: what is large is not read."""
        with self._opened() as archive:
            shape, dtype = self._header(archive, "x")
            y = labels(self._what("y"), archive["y"], shape[0] if shape else 0)
            check_samples(self._what("x"), shape, dtype)
            total, test = shape[0], self._tests(archive, shape)
            classes = 1 + max(int(part.max()) for part in (y, test) if part is not None)
        if test is None and total < 2:
            raise ConfigError(f"{self._what('x')} has 1 sample: one to train on and one to test are the least")
        train, held = (total - test_size(total), test_size(total)) if test is None else (total, len(test))
        size = "×".join(map(str, shape[1:]))
        about = f"{total:,} samples of {size} out of {os.path.basename(self.path)}"
        return DataInfo(__name__, train, held, shape[1:], classes, about)

    def check(self) -> None:
        """Look through the samples, and keep none: ConfigError if one is not finite. Blocks while they are read.

        A file that has not changed is read once.
        """
        with self._opened():  # says what is wrong with the path
            stamp = os.stat(self.path)
        _all_finite(self, stamp.st_mtime_ns, stamp.st_size)

    def load(self) -> Dataset:
        """It, in memory; split if it has no x_test and y_test of its own."""
        import torch

        from common.data.dataset import Dataset

        with self._opened() as archive:
            x = samples(self._what("x"), archive["x"])
            y = labels(self._what("y"), archive["y"], len(x))
            test = self._tests(archive, x.shape)
            if test is None:
                to_train, to_test = split(len(x))
                parts = (x[to_train], y[to_train], x[to_test], y[to_test])
            else:
                parts = (x, y, samples(self._what("x_test"), archive["x_test"]).astype(x.dtype, copy=False), test)
        return Dataset(*(torch.from_numpy(part) for part in parts))

    def _tests(self, archive: Any, shape: tuple[int, ...]) -> Array | None:
        """The labels of the test samples, None if the archive has none, to go with samples of `shape`."""
        if not set(TESTS) & set(archive.files):
            return None
        own, dtype = self._header(archive, "x_test")
        check_samples(self._what("x_test"), own, dtype)
        if own[1:] != shape[1:]:
            raise ConfigError(f"{self._what('x_test')} has samples of shape {own[1:]}, x has {shape[1:]}")
        return labels(self._what("y_test"), archive["y_test"], own[0])

    def _look_through(self) -> None:
        with self._opened() as archive:
            for array in ("x", "x_test"):
                if f"{array}.npy" not in archive.zip.namelist():
                    continue
                _, dtype = self._header(archive, array)
                if dtype.kind != "f":
                    continue
                with archive.zip.open(f"{array}.npy") as file:
                    _read_header(file)
                    while part := file.read(AT_ONCE // dtype.itemsize * dtype.itemsize):
                        check_finite(self._what(array), np.frombuffer(part, dtype))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """The archive, open; whatever is wrong with it is one ConfigError."""
        try:
            if is_special_file(self.path):
                raise ConfigError(f"--data {self.name}: that is no .npz file")
            if not zipfile.is_zipfile(self.path):
                with open(self.path, "rb"):  # says it better if it is not there, or not ours to read
                    raise ConfigError(f"--data {self.name}: that is no .npz file")
            with np.load(self.path, allow_pickle=False) as archive:
                if missing := [key for key in ("x", "y") if f"{key}.npy" not in archive.zip.namelist()]:
                    raise ConfigError(f"--data {self.name} has no array {missing[0]}: give x and y")
                yield archive
        except KeyError as error:
            raise ConfigError(f"--data {self.name} has one of {' and '.join(TESTS)} only: {error.args[0]}") from None
        except OSError as error:
            raise ConfigError(f"--data {self.name} cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigError(f"--data {self.name} cannot be read: {' '.join(str(error).split())}") from None

    def _what(self, array: str) -> str:
        return f"--data {self.name}: {array}"

    @staticmethod
    def _header(archive: Any, array: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype of an array, which is not read. ValueError if it cannot be there whole."""
        with archive.zip.open(f"{array}.npy") as file:
            shape, dtype = _read_header(file)
            header = file.tell()
        if any(length < 0 for length in shape):
            raise ValueError(f"{array} has a shape {shape}")
        whole = 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
        if archive.zip.getinfo(f"{array}.npy").file_size < header + whole:
            raise ValueError(f"{array} is cut short: it has not all that its shape {shape} says")
        return shape, dtype


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of the array that begins in `file`, which then stands at its numbers. ValueError."""
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


@functools.lru_cache(maxsize=8)
def _all_finite(archive: Npz, changed: int, size: int) -> None:
    archive._look_through()
