"""Scikit-learn's digits: real handwriting, offline, small enough for every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.data.info import DataInfo

if TYPE_CHECKING:
    from common.data.dataset import Dataset

SPLIT_SEED = 0  # the split belongs to the data set: it does not change with the seed of a run


@dataclass(frozen=True, slots=True)
class Digits:
    """1,437 training and 360 test images of shape (1, 8, 8), with equal shares of every digit."""

    def __str__(self) -> str:
        return "digits"

    def info(self) -> DataInfo:
        """Return its sizes."""
        return DataInfo(1437, 360, (1, 8, 8), 10, "1,797 handwritten digits, 8×8 grey (UCI; scikit-learn, offline)")

    def load(self) -> Dataset:
        """Read it: grey values 0 … 16 as float32, labels 0 … 9."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        from common.data.dataset import Dataset

        images, labels = load_digits(return_X_y=True)
        images = images.reshape(-1, 1, 8, 8).astype("float32")
        train_x, test_x, train_y, test_y = train_test_split(
            images, labels, test_size=0.2, random_state=SPLIT_SEED, stratify=labels
        )
        return Dataset.of(train_x, train_y, test_x, test_y)
