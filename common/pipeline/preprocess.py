"""Stage 1, input pre-processing: raw samples become model input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from common.data.info import DataInfo

Transform = Callable[[torch.Tensor], torch.Tensor]


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


def as_ids(samples: torch.Tensor) -> torch.Tensor:
    """Ids, any integers of any shape, as int64, which every torch looks up; numbers of rows have no scale."""
    return samples.long()


def fit(info: DataInfo, samples: torch.Tensor) -> Transform:
    """What stage 1 does to samples like these, the raw ones to train on: normalise values, leave ids alone."""
    return as_ids if info.rows else Normalise.fit(samples)
