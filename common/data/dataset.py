"""A data set in memory: raw samples and labels, for training and for testing."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from common.types import Array


@dataclass(frozen=True, slots=True)
class Dataset:
    """Raw samples, shape (n, *sample), any dtype, and labels, shape (n, *label), int64: see `DataInfo.labels`."""

    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor

    @classmethod
    def of(cls, train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> Dataset:
        """Return the data set of these arrays, which it shares."""
        return cls(*map(torch.from_numpy, (train_x, train_y, test_x, test_y)))

    def sha256(self) -> str:
        """Return a hash over names, dtypes, shapes and bytes of the four arrays, at about a gigabyte a second."""
        total = hashlib.sha256()
        for field in dataclasses.fields(self):
            array = np.ascontiguousarray(getattr(self, field.name).numpy())
            total.update(f"{field.name} {array.dtype.str} {array.shape}\n".encode())
            total.update(array.data)
        return total.hexdigest()
