"""A data set in memory: raw samples and labels, training and held-out test split."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Dataset:
    """Raw samples, shape (n, *sample), any dtype, and class labels, shape (n,), int64."""

    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
