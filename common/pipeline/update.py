"""Stage 6, model update: `torch.optim` on flat parameters, at the worker or on the server's shard of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from common.context import Array
from common.job import OptimizerSpec
from common.pipeline.schedule import rate
from common.strategy import Rows, Vector


class FlatOptimizer:
    """The update rule of `spec` over `params`, float32 of shape (size,), which `step` changes in place."""

    def __init__(self, spec: OptimizerSpec, params: Vector) -> None:
        self._spec = spec
        self._params = params
        self._flat = torch.from_numpy(params)
        self._flat.requires_grad_(True)
        self._optim: torch.optim.Optimizer
        if spec.name == "adam":
            self._optim = torch.optim.Adam([self._flat], lr=spec.lr)
        else:
            self._optim = torch.optim.SGD([self._flat], lr=spec.lr, momentum=spec.momentum)

    @property
    def size(self) -> int:
        """How many parameters it updates."""
        return self._flat.numel()

    @property
    def state_bytes(self) -> int:
        """The bytes that it keeps beside the parameters: a copy for momentum, two and a step count for Adam.

        The first step makes them.
        """
        kept = [value for state in self._optim.state.values() for value in state.values()]
        return sum(value.numel() * value.element_size() for value in kept if isinstance(value, torch.Tensor))

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """One update from `grad`, same shape, which stays as it is, with the rate of step `at` times `damping`."""
        self._flat.grad = torch.from_numpy(grad)
        self._optim.param_groups[0]["lr"] = rate(self._spec, at) * damping
        self._optim.step()

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """One update of the touched rows alone of `params`, a table: plain SGD, the only rule that leaves the others.

        ValueError for another rule.
        """
        if not self._spec.plain:
            raise ValueError("momentum and adam change rows that are not touched: they need a dense gradient")
        table = self._params.reshape(-1, rows.width)
        table[rows.index] -= np.float32(rate(self._spec, at) * damping) * rows.values

    def state(self) -> dict[str, Array]:
        """torch's own, by its names: momentum_buffer; or step, exp_avg and exp_avg_sq. Empty before the first step."""
        found = self._optim.state.get(self._flat, {})
        return {name: value.numpy() for name, value in found.items() if isinstance(value, torch.Tensor)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Replace the state by copies of what `state` gave."""
        self._optim.state[self._flat] = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
