"""A small causal transformer (Vaswani et al. 2017, arXiv:1706.03762) that predicts the next byte of a text.

Layers normalise their input (Xiong et al. 2020, arXiv:2002.04745), so the model learns without a warm-up. It has no
dropout: dropped units would depend on the rank, so the number of workers would change the result.
"""

import math

import torch
from torch import nn
from torch.nn.functional import embedding, scaled_dot_product_attention

HEADS = 4  # the greatest common divisor with the width if that is smaller
LAYERS = 2  # unless --hidden gives the layers' sizes


class Layer(nn.Module):
    """Attention to the earlier bytes, then a hidden layer of `inner` units at each position."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, HEADS)
        self.before_attention, self.before_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.hidden = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, positions, width = x.shape
        projected = self.project(self.before_attention(x)).view(batch, positions, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.merge(seen.transpose(1, 2).reshape(batch, positions, width))
        result: torch.Tensor = x + self.hidden(self.before_hidden(x))
        return result


class Transformer(nn.Module):
    """Maps ids, integers of shape (batch, positions), to logits of shape (batch, classes, positions)."""

    def __init__(self, positions: int, classes: int, width: int, inner: tuple[int, ...]) -> None:
        super().__init__()
        self.bytes = nn.Parameter(torch.empty(classes, width).normal_(std=0.02))
        self.positions = nn.Parameter(torch.empty(positions, width).normal_(std=0.02))
        self.layers = nn.Sequential(*(Layer(width, units) for units in inner))
        self.normal, self.logits = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.layers(embedding(ids, self.bytes) + self.positions)
        result: torch.Tensor = self.logits(self.normal(x)).transpose(1, 2)
        return result


def build(shape: tuple[int, ...], classes: int, hidden: tuple[int, ...]) -> nn.Module:
    """Build for samples of `shape` (positions,), ids below `classes`: logits of the next id at each position.

    `hidden`: the width, then the hidden units of each layer; by default two layers of four times the width.
    """
    width, *inner = hidden
    return Transformer(shape[0], classes, width, tuple(inner) or (4 * width,) * LAYERS)
