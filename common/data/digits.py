"""Scikit-learn's digits: real handwriting, offline, small enough for any machine."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from common.data.dataset import Dataset

SPLIT_SEED = 0  # the split is part of the data set: it does not change with the seed of a run


def load() -> Dataset:
    """1,437 training and 360 test images, shape (n, 1, 8, 8), grey values 0 … 16 as float32, stratified by digit."""
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images.reshape(-1, 1, 8, 8).astype("float32"), labels, test_size=0.2, random_state=SPLIT_SEED, stratify=labels
    )
    return Dataset(*(torch.from_numpy(part) for part in (train_x, train_y, test_x, test_y)))
