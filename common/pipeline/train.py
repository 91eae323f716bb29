"""Stage 4, training: forward and backward, which leaves the local gradient in the flat vector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from common.models.flat import FlatModel
from common.pipeline.load import Batch

TESTED = 1024  # samples: more would take more memory than training does
Train = Callable[[FlatModel, Batch], float]


def train(model: FlatModel, batch: Batch) -> float:
    """The batch's mean loss; leaves its gradient in `model.grad`, and `model.rows`, replacing what was there."""
    inputs, labels = batch
    model.clear()
    loss = cross_entropy(model.forward(inputs), labels)
    loss.backward()
    model.gather()
    return float(loss.item())


def accuracy(model: FlatModel, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of `inputs`, or of their positions, that the model labels right, 0 … 1; looks at TESTED at a time."""
    model.module.eval()
    with torch.inference_mode():
        parts = zip(inputs.split(TESTED), labels.split(TESTED), strict=True)
        right = sum(int((model.module(x).argmax(1) == y).sum()) for x, y in parts)
    model.module.train()
    return right / labels.numel()
