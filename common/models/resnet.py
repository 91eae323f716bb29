"""A small residual network (He et al. 2016, arXiv:1512.03385) for images, with group normalisation.

Batch normalisation does not fit here. No strategy would synchronise its running statistics, which are no parameters.
And each worker would normalise by its own part of the batch, so the result would differ from that of one process.
Group normalisation (Wu & He 2018, arXiv:1803.08494) normalises each sample by itself.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn.functional import relu

BLOCKS = 2  # in each stage, as in ResNet-18
GROUPS = 8  # of channels; the greatest common divisor if they do not divide evenly


class Block(nn.Module):
    """Two 3×3 convolutions plus the identity, or plus a 1×1 convolution if the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels, out, 3, stride)
        self.second = _convolution(out, out, 3, 1)
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(channels, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


def _convolution(channels: int, out: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, side, stride, padding=side // 2, bias=False),
        nn.GroupNorm(math.gcd(out, GROUPS), out),
    )


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """Build: images (channels, height, width) to logits. `hidden`: the channels of each stage of two blocks."""
    layers: list[nn.Module] = [_convolution(shape[0], hidden[0], 3, 1), nn.ReLU()]
    for number, (channels, out) in enumerate(itertools.pairwise((hidden[0], *hidden))):
        layers.append(Block(channels, out, stride=1 if number == 0 else 2))
        layers += [Block(out, out, stride=1) for _ in range(BLOCKS - 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(hidden[-1], classes))
