"""Stage 4, training: forward and backward, which leave the local gradient in the flat vector."""

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from common.models.flat import FlatModel
from common.pipeline.load import Batch

TEST_BATCH = 1024  # samples evaluated at a time: more would take more memory than training does
Train = Callable[[FlatModel, Batch], float]


def train(model: FlatModel, batch: Batch) -> float:
    """Return the batch's mean loss; replaces `model.grad` and `model.rows` by its gradient."""
    inputs, labels = batch
    model.clear()
    loss = cross_entropy(model.forward(inputs), labels)
    loss.backward()
    model.gather()
    return float(loss.item())


def accuracy(model: FlatModel, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of labels, 0 … 1, that the model predicts correctly."""
    model.module.eval()
    with torch.inference_mode():
        parts = zip(inputs.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True)
        correct = sum(int((model.module(x).argmax(1) == y).sum()) for x, y in parts)
    model.module.train()
    return correct / labels.numel()
