"""A small residual network (He et al. 2016, arXiv:1512.03385) for images, with group normalisation.

Batch normalisation would not do here: its running statistics are no parameters, so no strategy would synchronise
them, and each worker would normalise by its own part of the batch, so that no number of workers would compute what one
process does. Group normalisation (Wu & He 2018, arXiv:1803.08494) looks at one sample at a time.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn.functional import relu

BLOCKS = 2  # a stage, as in ResNet-18
GROUPS = 8  # of channels, where their number allows


class Block(nn.Module):
    """Two 3×3 convolutions beside the identity, or a 1×1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels, out, 3, stride)
        self.second = _convolution(out, out, 3, 1)
        same = channels == out and stride == 1
        self.beside = nn.Identity() if same else _convolution(channels, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.second(relu(self.first(x))) + self.beside(x))


def _convolution(channels: int, out: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, side, stride, padding=side // 2, bias=False),
        nn.GroupNorm(math.gcd(out, GROUPS), out),
    )


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """Images (channels, height, width) to logits of `classes`. `hidden`: the channels of each stage of two blocks.

    Each stage but the first halves height and width.
    """
    layers: list[nn.Module] = [_convolution(shape[0], hidden[0], 3, 1), nn.ReLU()]
    for number, (channels, out) in enumerate(itertools.pairwise((hidden[0], *hidden))):
        layers.append(Block(channels, out, stride=1 if number == 0 else 2))
        layers += [Block(out, out, stride=1) for _ in range(BLOCKS - 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(hidden[-1], classes))
