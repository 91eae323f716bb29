"""Stage 1, input pre-processing: raw samples become model input.

Training samples may be transformed at random (see `augment`), test samples never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from common.data.info import DataInfo
from common.pipeline.augment import Augment, Flip, RandomCrop, SeededAugment

Transform = Callable[[torch.Tensor], torch.Tensor]
RandomTransform = Callable[[torch.Tensor, Sequence[int], int], torch.Tensor]
AUGMENTS: dict[str, type[Augment]] = {"random-crop": RandomCrop, "flip": Flip}
BYTE = 256


@dataclass(frozen=True, slots=True)
class Normalise:
    """(x - mean) / std with the scalar statistics of the training split, so test data leaks nowhere."""

    mean: float
    std: float

    @classmethod
    def fit(cls, samples: torch.Tensor) -> Normalise:
        """Compute the statistics of raw samples, shape (n, …)."""
        if samples.dtype == torch.uint8:
            return cls._of_bytes(samples)
        values = samples.double()
        return cls(values.mean().item(), max(values.std().item(), 1e-12))

    @classmethod
    def _of_bytes(cls, samples: torch.Tensor) -> Normalise:
        """Compute them from a histogram, which needs no float64 copy, eight times as large, of many images."""
        counts = sum(torch.bincount(part.reshape(-1), minlength=BYTE) for part in samples.split(1024))
        counts, values = torch.as_tensor(counts).double(), torch.arange(BYTE).double()
        mean = (counts @ values) / counts.sum()
        variance = (counts @ (values - mean).square()) / (counts.sum() - 1).clamp(min=1)
        return cls(mean.item(), max(variance.sqrt().item(), 1e-12))

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Return raw samples, shape (batch, …) and any dtype, as float32 of the same shape."""
        return (samples.float() - self.mean) / self.std


@dataclass(frozen=True, slots=True)
class Transforms:
    """Transforms of training samples in the order asked for; `test` is the transform of test samples."""

    steps: tuple[Transform | Augment, ...]
    test: Transform

    def train(self, seed: int, samples: int) -> RandomTransform | None:
        """Return the transform of `samples` training samples; None if nothing is random: `test` does then.

        The transform takes raw samples (batch, …), their indices (batch,) and the epoch, and returns float32. The
        result for a sample depends on the seed and the epoch alone.
        """
        if not any(isinstance(step, Augment) for step in self.steps):
            return None
        steps = [SeededAugment(step, seed, samples) if isinstance(step, Augment) else step for step in self.steps]

        def transform(raw: torch.Tensor, indices: Sequence[int], epoch: int) -> torch.Tensor:
            values = raw.float()
            for step in steps:
                values = step(values, indices, epoch) if isinstance(step, SeededAugment) else step(values)
            return values

        return transform


def fit(info: DataInfo, samples: torch.Tensor, text: str = "normalise") -> Transforms:
    """Return the transforms named in `text`, fitted to the raw training samples. Ids stay ids, as int64."""
    if info.rows:
        return Transforms((), torch.Tensor.long)
    steps: list[Transform | Augment] = []
    test: Transform = torch.Tensor.float
    for name in text.split(","):
        if name == "normalise":
            test = Normalise.fit(samples)
            steps.append(test)
        elif name in AUGMENTS:
            steps.append(AUGMENTS[name]())
    return Transforms(tuple(steps), test)
