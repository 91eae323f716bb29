"""A data set in memory: raw samples and labels, training and held-out test split."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Dataset:
    """Raw samples, shape (n, *sample), any dtype, and labels, shape (n, *label), int64: see `DataInfo.labels`."""

    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor

    def sha256(self) -> str:
        """The data's identity: a hash over names, dtypes, shapes and bytes of its four arrays, wherever they came from.

        About a second a gigabyte.
        """
        total = hashlib.sha256()
        for field in dataclasses.fields(self):
            array = np.ascontiguousarray(getattr(self, field.name).numpy())
            total.update(f"{field.name} {array.dtype.str} {array.shape}\n".encode())
            total.update(array.data)
        return total.hexdigest()
