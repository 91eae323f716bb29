"""Data sets of openml.org, through scikit-learn: downloaded once, kept in its data folder, split once for all runs.

scikit-learn keeps the download as text, which takes long to read. So the arrays are kept beside it, for every rank to
read. Both are in the folder of `sklearn.datasets.get_data_home` ($SCIKIT_LEARN_DATA).
"""

from __future__ import annotations

import math
import os
import re
import socket
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray

from common.data.arrays import samples
from common.data.info import DataInfo
from common.data.npz import Npz
from common.errors import ConfigError
from common.types import Array

if TYPE_CHECKING:
    from common.data.dataset import Dataset

TIMEOUT = 30.0  # seconds without an answer from openml.org
MOST_CLASSES = 1000
IMAGES = {  # shapes of images by name: OpenML's samples are flat
    "mnist_784": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "kuzushiji-mnist": (1, 28, 28),
    "cifar_10": (3, 32, 32),
    "cifar_10_small": (3, 32, 32),
}


@dataclass(frozen=True, slots=True)
class OpenMl:
    """The data set called `name`, in its oldest active version, or the one with this number."""

    name: str

    @classmethod
    def read(cls, given: str) -> OpenMl:
        """Return the data set named `openml:<given>`. ConfigError if that is no name."""
        if not re.fullmatch(r"[\w.()+-]+", given):
            raise ConfigError(f"--data openml:{given}: give a name of openml.org, like openml:mnist_784")
        return cls(given)

    def __str__(self) -> str:
        return f"openml:{self.name}"

    def info(self) -> DataInfo:
        """Return its sizes; blocks during the first download. ConfigError."""
        found = self._archive().info()
        about = f"OpenML's {self.name}, {found.train_samples + found.test_samples:,} samples"
        return DataInfo(found.train_samples, found.test_samples, found.shape, found.classes, about)

    def load(self) -> Dataset:
        """Read it, as uint8 if that holds all values, else float32; a fifth is for testing. ConfigError as `info`."""
        return self._archive().load()

    def _archive(self) -> Npz:
        """Return the archive in the data folder; writes it first if it is missing."""
        from sklearn.datasets import get_data_home

        path = Path(get_data_home()) / "syncbench" / f"openml-{self.name.lower()}.npz"
        if not path.exists():
            x, y = self._download()
            try:
                _write(path, x, y)
            except OSError as error:
                raise ConfigError(f"--data {self}: {path} cannot be written: {error.strerror}") from None
        return Npz(str(path), str(self))

    def _download(self) -> tuple[Array, NDArray[np.int64]]:
        """Download samples, in the shape of images if that is known, and classes."""
        from sklearn.datasets import fetch_openml

        dataset: dict[str, Any] = {"data_id": int(self.name)} if self.name.isdecimal() else {"name": self.name}
        # The pandas parser is faster but may infer other dtypes. At least one retry, after some delay, is demanded.
        settings: dict[str, Any] = {"as_frame": False, "parser": "liac-arff", "n_retries": 1, "delay": 0.1}
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT)  # of sockets that are opened meanwhile
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about newer versions, and about the retry
                bunch = fetch_openml(**dataset, **settings)
        except HTTPError as error:
            raise ConfigError(f"--data {self}: openml.org answers {error.code} {error.reason}") from None
        except OSError as error:
            raise ConfigError(
                f"--data {self} is not on this machine, and openml.org cannot be reached: "
                f"{getattr(error, 'reason', None) or error}; once it is, it is kept"
            ) from None
        except ValueError as error:  # OpenMLError is one
            raise ConfigError(f"--data {self}: {' '.join(str(error).split())}") from None
        finally:
            socket.setdefaulttimeout(before)
        name = str(getattr(bunch, "details", {}).get("name", self.name)).lower()
        x = self._samples(bunch.data)
        shape = IMAGES.get(name, x.shape[1:])
        return x.reshape(-1, *shape) if math.prod(shape) == x.shape[1] else x, self._classes(bunch.target)

    def _samples(self, data: Any) -> Array:
        x = np.asarray(data.toarray() if hasattr(data, "toarray") else data)  # some data sets are sparse
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


def _write(path: Path, x: Array, y: NDArray[np.int64]) -> None:
    """Write the archive atomically, even if other processes write it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, x=x, y=y)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
