"""Stage 1, input pre-processing: raw samples become model input.

What is done to a sample that is trained on may be drawn at random (see `augment`), what is done to one that is tested
never.
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
    """(x - mean) / std with the statistics of the training split, one scalar each, so test data leaks nowhere."""

    mean: float
    std: float

    @classmethod
    def fit(cls, samples: torch.Tensor) -> Normalise:
        """Take the statistics of raw samples, shape (n, …)."""
        if samples.dtype == torch.uint8:
            return cls._of_bytes(samples)
        values = samples.double()
        return cls(values.mean().item(), max(values.std().item(), 1e-12))

    @classmethod
    def _of_bytes(cls, samples: torch.Tensor) -> Normalise:
        """The same from how often each value occurs, so that large images need no copy of eight times their size."""
        counts = sum(torch.bincount(part.reshape(-1), minlength=BYTE) for part in samples.split(1024))
        counts, values = torch.as_tensor(counts).double(), torch.arange(BYTE).double()
        mean = (counts @ values) / counts.sum()
        variance = (counts @ (values - mean).square()) / (counts.sum() - 1).clamp(min=1)
        return cls(mean.item(), max(variance.sqrt().item(), 1e-12))

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Raw samples, shape (batch, …), any dtype, to float32 of the same shape."""
        return (samples.float() - self.mean) / self.std


def as_ids(samples: torch.Tensor) -> torch.Tensor:
    """Ids, any integers of any shape, as int64, which every torch looks up; numbers of rows have no scale."""
    return samples.long()


def as_values(samples: torch.Tensor) -> torch.Tensor:
    """Any numbers of any shape as float32."""
    return samples.float()


@dataclass(frozen=True, slots=True)
class Transforms:
    """Transforms in the order asked for. `test` is what becomes of samples that nothing random is done to."""

    steps: tuple[Transform | Augment, ...]
    test: Transform

    def train(self, seed: int, samples: int) -> RandomTransform | None:
        """What becomes of samples to train on, of which there are so many; None if nothing is random about it.

        Gets raw samples (batch, …), their indices (batch,) and the epoch; gives float32, the same for the same sample
        in the same epoch, whoever asks.
        """
        if not any(isinstance(step, Augment) for step in self.steps):
            return None
        steps = [step.drawing(seed, samples) if isinstance(step, Augment) else step for step in self.steps]

        def transform(raw: torch.Tensor, indices: Sequence[int], epoch: int) -> torch.Tensor:
            values = raw.float()
            for step in steps:
                values = step(values, indices, epoch) if isinstance(step, SeededAugment) else step(values)
            return values

        return transform


def fit(info: DataInfo, samples: torch.Tensor, text: str = "normalise") -> Transforms:
    """What stage 1 does to samples like these, the raw ones to train on; ids it leaves alone, whatever `text` says."""
    if info.rows:
        return Transforms((), as_ids)
    steps: list[Transform | Augment] = []
    test: Transform = as_values
    for name in text.split(","):
        if name == "normalise":
            test = Normalise.fit(samples)
            steps.append(test)
        elif name in AUGMENTS:
            steps.append(AUGMENTS[name]())
    return Transforms(tuple(steps), test)
