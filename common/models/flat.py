"""A model whose parameters and gradients live in two flat float32 vectors; the model's tensors are views of them.

A strategy sees one vector, and stage 5 copies nothing: the model computes with the memory that the transport wrote. The
gradient of a sparse embedding table is no part of the vector. It is in `rows`, so that no step reads the whole table.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import nn

from common.models.sparse_rows import sum_duplicate_rows
from common.types import Array, Rows, Vector, zeros

Alloc = Callable[[int, DTypeLike], Array]


class FlatModel:
    """`module`, its storage moved in place to `params` and `grad`: NumPy float32 of shape (size,).

    `tensors`: the module's parameters, in their order in the vectors.
    `forward`: the callable of stage 4: `module`, or a wrapper that an engine put around it.
    `rows`: the gradient of the first tensor, if that is a table with a sparse gradient. Then `grad` covers the other
    tensors alone, and the table is the first `table` elements of `params`.
    """

    def __init__(self, module: torch.nn.Module, alloc: Alloc = zeros) -> None:
        tensors = list(module.parameters())
        if any(tensor.dtype != torch.float32 for tensor in tensors):
            raise ValueError("only float32 models can be flattened")
        self.module = module
        self.tensors = tensors
        self.forward: Callable[[torch.Tensor], torch.Tensor] = module
        self.size = sum(tensor.numel() for tensor in tensors)
        self.rows = sparse_rows(module)
        self.table = tensors[0].numel() if self.rows is not None else 0
        self.params = alloc(self.size, "float32")
        self.grad = alloc(self.size - self.table, "float32")
        flat_params, flat_grad = torch.from_numpy(self.params), torch.from_numpy(self.grad)
        offset = 0
        for tensor in tensors:
            piece = slice(offset, offset + tensor.numel())
            flat_params[piece] = tensor.detach().reshape(-1)
            tensor.data = flat_params[piece].view(tensor.shape)
            if offset >= self.table:
                tensor.grad = flat_grad[piece.start - self.table : piece.stop - self.table].view(tensor.shape)
            offset = piece.stop

    @property
    def dense(self) -> Vector:
        """The parameters that `grad` is the gradient of: all but the table with `rows`."""
        vector: Vector = self.params[self.table :]
        return vector

    def clear(self) -> None:
        """Clear the gradient, before backward."""
        self.grad.fill(0.0)
        if self.rows is not None:
            self.tensors[0].grad = None

    def gather(self) -> None:
        """Put the gradient of the table into `rows`, each touched row once, after backward."""
        if self.rows is None:
            return
        grad = self.tensors[0].grad
        if grad is None:
            self.rows.index, self.rows.values = np.empty(0, np.int64), np.empty((0, self.rows.width), np.float32)
        else:
            self.rows.index, self.rows.values = sum_duplicate_rows(grad._indices()[0].numpy(), grad._values().numpy())


def sparse_rows(module: nn.Module) -> Rows | None:
    """Return empty rows for the module's sparse table; None without one. ValueError unless it is the first tensor."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    sparse = [layer.weight for layer in module.modules() if isinstance(layer, kinds) and layer.sparse]
    if not sparse:
        return None
    if len(sparse) > 1 or sparse[0] is not next(module.parameters()):
        raise ValueError("a model may have one table with a sparse gradient, as its first parameter")
    width = sparse[0].shape[1]
    return Rows(width, np.empty(0, np.int64), np.empty((0, width), np.float32))
