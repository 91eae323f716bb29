"""A model whose parameters and gradients live in two flat float32 vectors, the model's tensors being views of them.

So a strategy sees one vector, nothing is gathered or scattered around stage 5, and what the transport wrote is what
the model computes with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import DTypeLike

from common.context import Array, zeros

Alloc = Callable[[int, DTypeLike], Array]


class FlatModel:
    """`module`, its storage moved in place to `params` and `grad`: NumPy float32 of shape (size,).

    `forward` is what stage 4 calls: `module`, or what a strategy has put around it.
    """

    def __init__(self, module: torch.nn.Module, alloc: Alloc = zeros) -> None:
        tensors = list(module.parameters())
        if any(tensor.dtype != torch.float32 for tensor in tensors):
            raise ValueError("only float32 models can be flattened")
        self.module = module
        self.forward: Callable[[torch.Tensor], torch.Tensor] = module
        self.size = sum(tensor.numel() for tensor in tensors)
        self.params = alloc(self.size, "float32")
        self.grad = alloc(self.size, "float32")
        flat_params, flat_grad = torch.from_numpy(self.params), torch.from_numpy(self.grad)
        offset = 0
        for tensor in tensors:
            piece = slice(offset, offset + tensor.numel())
            flat_params[piece] = tensor.detach().reshape(-1)
            tensor.data = flat_params[piece].view(tensor.shape)
            tensor.grad = flat_grad[piece].view(tensor.shape)
            offset = piece.stop
