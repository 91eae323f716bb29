"""Stage 6, model update: `torch.optim` on flat parameters, at the worker or on the server's shard of them."""

from __future__ import annotations

import torch

from common.job import OptimizerSpec
from common.pipeline.schedule import rate
from common.strategy import Vector


class FlatOptimizer:
    """The update rule of `spec` over `params`, float32 of shape (size,), which `step` changes in place."""

    def __init__(self, spec: OptimizerSpec, params: Vector) -> None:
        self._spec = spec
        self._flat = torch.from_numpy(params)
        self._flat.requires_grad_(True)
        self._optim: torch.optim.Optimizer
        if spec.name == "adam":
            self._optim = torch.optim.Adam([self._flat], lr=spec.lr)
        else:
            self._optim = torch.optim.SGD([self._flat], lr=spec.lr, momentum=spec.momentum)

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """One update from `grad`, same shape, which stays as it is, with the rate of step `at` times `damping`."""
        self._flat.grad = torch.from_numpy(grad)
        self._optim.param_groups[0]["lr"] = rate(self._spec, at) * damping
        self._optim.step()
