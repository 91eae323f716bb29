"""Stage 6, model update: `torch.optim` on flat parameters, at the worker or on the server's shard of them."""

from collections.abc import Mapping

import numpy as np
import torch

from common.pipeline.lr_schedule import learning_rate
from common.runtime.job import OptimizerSpec
from common.types import Array, Rows, Vector

BLOCK = 1 << 18  # elements updated at a time: 1 MiB, the default size of a server's segment


class FlatOptimizer:
    """The update rule of `spec` over `params`, float32 of shape (size,), which `step` changes in place.

    Each block of the vector is a parameter of its own to torch: a rule reads its vectors several times, and finds a
    block in the cache. The result for each element is the same.
    """

    def __init__(self, spec: OptimizerSpec, params: Vector) -> None:
        self._spec = spec
        self._params = params
        self._blocks = torch.from_numpy(params).split(BLOCK)
        self._sizes = [block.numel() for block in self._blocks]
        for block in self._blocks:
            block.requires_grad_(True)
        self._optim: torch.optim.Optimizer
        if spec.name == "adam":
            self._optim = torch.optim.Adam(self._blocks, lr=spec.lr)
        else:
            self._optim = torch.optim.SGD(self._blocks, lr=spec.lr, momentum=spec.momentum)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self._params.size)

    @property
    def state_bytes(self) -> int:
        """Bytes kept beside the parameters, from the first step on: one copy for momentum, two and a count for Adam."""
        return sum(part.nbytes for parts in self._state().values() for part in parts)

    def _state(self) -> dict[str, list[torch.Tensor]]:
        """Return torch's state by name: the parts of a vector; of a number, equal for all blocks, the first block's."""
        states = [self._optim.state.get(block, {}) for block in self._blocks]
        first = {name: value for name, value in states[0].items() if isinstance(value, torch.Tensor)}
        return {name: [state[name] for state in states] if value.ndim else [value] for name, value in first.items()}

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update once from `grad`, same shape, unchanged, with the learning rate of step `at` times `damping`."""
        for block, part in zip(self._blocks, torch.from_numpy(grad).split(self._sizes), strict=True):
            block.grad = part
        self._optim.param_groups[0]["lr"] = learning_rate(self._spec, at) * damping
        self._optim.step()

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """Update only the touched rows of `params`. ValueError unless the rule is plain SGD."""
        if not self._spec.plain:
            raise ValueError("momentum and adam change rows that are not touched: they need a dense gradient")
        table = self._params.reshape(-1, rows.width)
        table[rows.index] -= np.float32(learning_rate(self._spec, at) * damping) * rows.values

    def state(self) -> dict[str, Array]:
        """Return torch's state: momentum_buffer; or step, exp_avg and exp_avg_sq. Empty before the first step."""
        return {
            name: (parts[0] if len(parts) == 1 else torch.cat(parts)).numpy() for name, parts in self._state().items()
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Replace the state by copies of the arrays that `state` returned."""
        for block in self._blocks:
            self._optim.state[block] = {}
        for name, value in state.items():
            whole = torch.from_numpy(value)
            parts = whole.split(self._sizes) if whole.ndim else [whole] * len(self._blocks)
            for block, part in zip(self._blocks, parts, strict=True):
                self._optim.state[block][name] = part.clone()
