"""Click prediction: a table of embeddings, one row an id, and a small network on the sum of a sample's embeddings.

A recommendation model (Naumov et al. 2019, arXiv:1906.00091) reduced to one table and no dense features.
"""

import math

import torch
from torch import nn


class Embedded(nn.Module):
    """Maps ids, integers of shape (batch, ids a sample), to logits of shape (batch, classes)."""

    def __init__(self, rows: int, classes: int, width: int, hidden: tuple[int, ...], sparse: bool) -> None:
        super().__init__()
        first = torch.empty(rows, width).normal_(std=1 / math.sqrt(width))
        self.table = nn.Embedding.from_pretrained(first, freeze=False, sparse=sparse)  # must be the first parameter
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip((width, *hidden), hidden, strict=False):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        self.top = nn.Sequential(*layers, nn.Linear((width, *hidden)[-1], classes))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.top(self.table(ids).sum(1))
        return logits


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...], *, rows: int, sparse: bool) -> nn.Module:
    """Build for samples of `shape` (ids,), ids below `rows`. `hidden`: columns of the table, then hidden layers' sizes.

    `sparse`: autograd returns the gradient of the table as its touched rows.
    """
    width, *layers = hidden
    return Embedded(rows, classes, width, tuple(layers), sparse)
