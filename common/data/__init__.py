"""Data sets by name. What must be known before anything starts stands here; loading imports the rest late."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class DataInfo:
    """A data set's module (which has `load() -> Dataset`), its sizes, the shape of a sample and what it is."""

    module: str
    train_samples: int
    test_samples: int
    shape: tuple[int, ...]
    classes: int
    about: str


DATASETS = {
    "digits": DataInfo(
        "common.data.digits",
        1437,
        360,
        (1, 8, 8),
        10,
        "1,797 handwritten digits, 8×8 grey (UCI; scikit-learn, offline)",
    ),
}


def load(name: str) -> Dataset:
    """The data set `name` of DATASETS, read into memory."""
    dataset: Dataset = importlib.import_module(DATASETS[name].module).load()
    return dataset
