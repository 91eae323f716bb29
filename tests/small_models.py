"""Small models, their buckets, and a backward pass over them."""

import torch
from torch import nn

from common.pipeline.buckets import bucket_slices


def mlp():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def pieces_of(model, nbytes=4):
    """By default every tensor is a bucket."""
    return bucket_slices([tensor.numel() for tensor in model.tensors], nbytes)


def backward(model, inputs=None):
    """Stage 4 on random samples, or on the given ones."""
    model.grad.fill(0.0)
    model.module(torch.ones(2, 6) if inputs is None else inputs).square().sum().backward()


class HalfUsed(nn.Module):
    """The second half of the parameters has no part in backward."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.used(x)
