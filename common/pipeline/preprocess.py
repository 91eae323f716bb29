"""Stage 1, input pre-processing: raw samples become model input."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Normalise:
    """(x - mean) / std with the statistics of the training split, one scalar each, so test data leaks nowhere."""

    mean: float
    std: float

    @classmethod
    def fit(cls, samples: torch.Tensor) -> Normalise:
        """Take the statistics of raw samples, shape (n, …)."""
        values = samples.double()
        return cls(values.mean().item(), max(values.std().item(), 1e-12))

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Raw samples, shape (batch, …), any dtype, to float32 of the same shape."""
        return (samples.float() - self.mean) / self.std
