"""A data set in a NumPy archive: `x`, `y`, `x_test` and `y_test`; without test arrays, some samples are held out.

Pickles are never read.
"""

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

from common.data.arrays import check_finite, check_samples, held_out_size, labels, samples, split
from common.data.info import DataInfo, is_special_file
from common.errors import ConfigError
from common.types import Array

if TYPE_CHECKING:
    from common.data.dataset import Dataset

TESTS = ("x_test", "y_test")
CHUNK = 1 << 22  # bytes of an array that are read at a time


@dataclass(frozen=True, slots=True)
class Npz:
    """The archive at `path`; error lines call it `name`."""

    path: str
    name: str

    @classmethod
    def read(cls, given: str) -> Npz:
        """Return the data set named `npz:<given>`. ConfigError if the path is empty."""
        if not given:
            raise ConfigError("--data npz: give the path of a file, like npz:digits.npz")
        path = os.path.abspath(os.path.expanduser(given))
        return cls(path, f"npz:{path}")

    def __str__(self) -> str:
        return self.name

    def info(self) -> DataInfo:
        """Return its sizes, from the labels and the header of the samples; the samples are not read."""
        with self._opened() as archive:
            shape, dtype = self._header(archive, "x")
            y = labels(self._what("y"), archive["y"], shape[0] if shape else 0)
            check_samples(self._what("x"), shape, dtype)
            total, test = shape[0], self._tests(archive, shape)
            classes = 1 + max(int(part.max()) for part in (y, test) if part is not None)
        held = held_out_size(self._what("x"), total) if test is None else len(test)
        train = total - held if test is None else total
        size = "×".join(map(str, shape[1:]))
        about = f"{total:,} samples of {size} out of {os.path.basename(self.path)}"
        return DataInfo(train, held, shape[1:], classes, about)

    def check(self) -> None:
        """ConfigError unless all samples are finite. Blocks; reads a file again only if it has changed."""
        with self._opened():  # explains a wrong path
            stamp = os.stat(self.path)
        _check_values(self, stamp.st_mtime_ns, stamp.st_size)

    def load(self) -> Dataset:
        """Read it; held-out samples replace missing x_test and y_test."""
        from common.data.dataset import Dataset

        with self._opened() as archive:
            x = samples(self._what("x"), archive["x"])
            y = labels(self._what("y"), archive["y"], len(x))
            test = self._tests(archive, x.shape)
            if test is None:
                return Dataset.of(*split(self._what("x"), x, y))
            test_x = samples(self._what("x_test"), archive["x_test"]).astype(x.dtype, copy=False)
            return Dataset.of(x, y, test_x, test)

    def _tests(self, archive: Any, shape: tuple[int, ...]) -> Array | None:
        """Return the labels of the test samples, whose shape must fit `shape`; None if the archive has none."""
        if not set(TESTS) & set(archive.files):
            return None
        own, dtype = self._header(archive, "x_test")
        check_samples(self._what("x_test"), own, dtype)
        if own[1:] != shape[1:]:
            raise ConfigError(f"{self._what('x_test')} has samples of shape {own[1:]}, x has {shape[1:]}")
        return labels(self._what("y_test"), archive["y_test"], own[0])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """Yield the open archive. Every error in it becomes a ConfigError."""
        try:
            if is_special_file(self.path):
                raise ConfigError(f"--data {self.name}: that is no .npz file")
            if not zipfile.is_zipfile(self.path):
                with open(self.path, "rb"):  # explains a file that is missing or not readable
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
        """Return shape and dtype of an array without reading it. ValueError if it is cut short."""
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
    """Read shape and dtype of the array that begins in `file`, up to its first number. ValueError."""
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


@functools.lru_cache(maxsize=8)
def _check_values(source: Npz, changed: int, size: int) -> None:
    """ConfigError unless all samples are finite."""
    with source._opened() as archive:
        for array in ("x", "x_test"):
            if f"{array}.npy" not in archive.zip.namelist():
                continue
            with archive.zip.open(f"{array}.npy") as file:
                _, dtype = _read_header(file)
                while dtype.kind == "f" and (part := file.read(CHUNK // dtype.itemsize * dtype.itemsize)):
                    check_finite(source._what(array), np.frombuffer(part, dtype))
