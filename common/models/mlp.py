"""Multi-layer perceptron."""

import itertools
import math

from torch import nn


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """Build: input of `shape` flattened, hidden layers of the given sizes with ReLU, logits of `classes`."""
    sizes = (math.prod(shape), *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
