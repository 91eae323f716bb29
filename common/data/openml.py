"""Data sets of openml.org, through scikit-learn: downloaded once, kept in its data folder, split once for all runs.

scikit-learn keeps the download, whose text takes it long to read; so arrays are kept beside it, which every rank
reads. Both are in the folder that `sklearn.datasets.get_data_home` gives ($SCIKIT_LEARN_DATA).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray

from common.data.arrays import Array, samples
from common.data.info import DataInfo
from common.data.npz import Npz
from common.errors import ConfigError

if TYPE_CHECKING:
    from common.data.dataset import Dataset

SILENCE = 30.0  # seconds that openml.org may say nothing
MOST_CLASSES = 1000
IMAGES = {  # by name: OpenML's samples are flat
    "mnist_784": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "kuzushiji-mnist": (1, 28, 28),
    "cifar_10": (3, 32, 32),
    "cifar_10_small": (3, 32, 32),
}


@dataclass(frozen=True, slots=True)
class OpenMl:
    """The data set `name`, in its oldest active version, or the one with that number."""

    name: str

    @classmethod
    def read(cls, given: str) -> OpenMl:
        """What follows `openml:`. ConfigError if it is no name."""
        if not re.fullmatch(r"[\w.()+-]+", given):
            raise ConfigError(f"--data openml:{given}: give a name of openml.org, like openml:mnist_784")
        return cls(given)

    def __str__(self) -> str:
        return f"openml:{self.name}"

    def info(self) -> DataInfo:
        """Blocks for as long as the download takes where it is not there yet. ConfigError."""
        found = self._kept().info()
        about = f"OpenML's {self.name}, {found.train_samples + found.test_samples:,} samples"
        return DataInfo(__name__, found.train_samples, found.test_samples, found.shape, found.classes, about)

    def load(self) -> Dataset:
        """uint8 where that holds all values, else float32; a fifth of the samples is for testing. As `info`."""
        return self._kept().load()

    def _kept(self) -> Npz:
        """The arrays in the data folder, put there if need be."""
        from sklearn.datasets import get_data_home

        path = Path(get_data_home()) / "syncbench" / f"openml-{self.name.lower()}.npz"
        if not path.exists():
            x, y = self._fetched()
            try:
                _write(path, x, y)
            except OSError as error:
                raise ConfigError(f"--data {self}: {path} cannot be written: {error.strerror}") from None
        return Npz(str(path), str(self))

    def _fetched(self) -> tuple[Array, NDArray[np.int64]]:
        """Samples, in the shape of images where they are known to be, and classes."""
        from sklearn.datasets import fetch_openml

        which: dict[str, Any] = {"data_id": int(self.name)} if self.name.isdecimal() else {"name": self.name}
        # liac-arff is slow, but pandas would be one more dependency. One retry after some delay is the least allowed.
        how: dict[str, Any] = {"as_frame": False, "parser": "liac-arff", "n_retries": 1, "delay": 0.1}
        try:
            with _patience(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are newer versions; the retry
                bunch = fetch_openml(**which, **how)
        except HTTPError as error:
            raise ConfigError(f"--data {self}: openml.org answers {error.code} {error.reason}") from None
        except OSError as error:
            raise ConfigError(
                f"--data {self} is not on this machine, and openml.org cannot be reached: "
                f"{getattr(error, 'reason', None) or error}; once it is, it is kept"
            ) from None
        except ValueError as error:  # OpenMLError is one
            raise ConfigError(f"--data {self}: {' '.join(str(error).split())}") from None
        name = str(getattr(bunch, "details", {}).get("name", self.name)).lower()
        x = self._samples(bunch.data)
        shape = IMAGES.get(name, x.shape[1:])
        return x.reshape(-1, *shape) if math.prod(shape) == x.shape[1] else x, self._classes(bunch.target)

    def _samples(self, data: Any) -> Array:
        x = np.asarray(data.toarray() if hasattr(data, "toarray") else data)  # some are sparse
        if x.dtype.kind == "f" and np.isnan(x).any():
            raise ConfigError(f"--data {self} has missing values, which no model here can take")
        found = samples(f"--data {self}: data", x)
        whole = found.dtype == np.float32 and found.min() >= 0 and found.max() <= 255 and (found % 1 == 0).all()
        return found.astype(np.uint8) if whole else found

    def _classes(self, target: Any) -> NDArray[np.int64]:
        if target is None or np.ndim(target) != 1:
            raise ConfigError(f"--data {self} has no target that is one class a sample")
        names, y = np.unique(np.asarray(target).astype(str), return_inverse=True)
        if len(names) > min(MOST_CLASSES, max(2, len(y) // 2)):
            raise ConfigError(f"--data {self} has {len(names):,} different targets: that is no class")
        return y.astype(np.int64)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Whoever opens a socket meanwhile waits no longer than SILENCE for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _write(path: Path, x: Array, y: NDArray[np.int64]) -> None:
    """The archive, whole or not at all, whoever else may be writing it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, x=x, y=y)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
