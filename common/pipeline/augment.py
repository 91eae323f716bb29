"""Random transforms of images for training (stage 1).

What is drawn for a sample depends on the seed, the epoch and the sample's index alone, not on the rank, the step or
what else is in the batch: so every strategy, and any number of workers, sees the same pixels of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

Draws = NDArray[np.int64]


class Augment(ABC):
    """One random transform."""

    stream: ClassVar[int]  # of random numbers: its own under the seed

    @abstractmethod
    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """What is to happen in an epoch to each of `samples` of `shape`, (channels, height, width): (samples, …)."""

    @abstractmethod
    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Do it to images (batch, channels, height, width); `drawn` (batch, …). Changes nothing; the same shape."""

    def drawing(self, seed: int, samples: int) -> SeededAugment:
        """It, with its random numbers for `samples` samples."""
        return SeededAugment(self, seed, samples)


class SeededAugment:
    """A transform and its random numbers, those of the current epoch being kept."""

    def __init__(self, augment: Augment, seed: int, samples: int) -> None:
        self._augment, self._seed, self._samples = augment, seed, samples
        self._drawn: tuple[int, Draws] | None = None

    def __call__(self, images: torch.Tensor, indices: Sequence[int], epoch: int) -> torch.Tensor:
        """Images (batch, channels, height, width) of the samples `indices`, in this epoch; the same shape."""
        if self._drawn is None or self._drawn[0] != epoch:
            random = np.random.default_rng((self._seed, self._augment.stream, epoch))
            self._drawn = epoch, self._augment.draw(random, self._samples, images.shape[1:])
        return self._augment.apply(images, self._drawn[1][np.asarray(indices)])


class RandomCrop(Augment):
    """Pad by zeros, an eighth of the shorter side (4 for 32×32, as He et al. 2016), and cut back to size anywhere."""

    stream = 16

    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """Where each one begins in its padded image: (samples, 2), rows and columns."""
        return random.integers(0, 2 * _margin(shape) + 1, (samples, 2))

    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        _, channels, height, width = images.shape
        padded = pad(images, [_margin(images.shape[1:])] * 4)
        top, left = torch.from_numpy(drawn).unbind(1)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        which = torch.arange(len(images))[:, None, None, None]
        channel = torch.arange(channels)[:, None, None]
        return padded[which, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _margin(shape: Sequence[int]) -> int:
    return max(1, min(shape[1:]) // 8)


class Flip(Augment):
    """Mirror left and right, every other time."""

    stream = 17

    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """1 for those to mirror: (samples,)."""
        return random.integers(0, 2, samples)

    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        return torch.where(torch.from_numpy(drawn).bool()[:, None, None, None], images.flip(-1), images)
