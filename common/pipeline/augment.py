"""Random transforms of training images (stage 1).

The numbers drawn for a sample depend on the seed, the epoch and the sample's index alone, not on the rank, the step or
the other samples of the batch. So every strategy, with any number of workers, sees the same pixels.
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

    stream: ClassVar[int]  # number of its random stream under the seed

    @abstractmethod
    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """Draw for one epoch: (samples, …), for `samples` images of `shape` (channels, height, width)."""

    @abstractmethod
    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Return transformed images, shape (batch, channels, height, width) as `images`; `drawn` is (batch, …)."""


class SeededAugment:
    """A transform with its random numbers for `samples` samples; keeps the draws of the current epoch."""

    def __init__(self, augment: Augment, seed: int, samples: int) -> None:
        self._augment, self._seed, self._samples = augment, seed, samples
        self._drawn: tuple[int, Draws] | None = None

    def __call__(self, images: torch.Tensor, indices: Sequence[int], epoch: int) -> torch.Tensor:
        """Transform the images (batch, channels, height, width) of the samples `indices`; returns the same shape."""
        if self._drawn is None or self._drawn[0] != epoch:
            random = np.random.default_rng((self._seed, self._augment.stream, epoch))
            self._drawn = epoch, self._augment.draw(random, self._samples, images.shape[1:])
        return self._augment.apply(images, self._drawn[1][np.asarray(indices)])


class RandomCrop(Augment):
    """Pad by zeros, an eighth of the shorter side (4 for 32×32, as He et al. 2016), and cut out a random window."""

    stream = 16

    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """Draw the first row and column of each window: (samples, 2)."""
        return random.integers(0, 2 * _margin(shape) + 1, (samples, 2))

    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        _, channels, height, width = images.shape
        padded = pad(images, [_margin(images.shape[1:])] * 4)
        top, left = torch.from_numpy(drawn).unbind(1)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        image = torch.arange(len(images))[:, None, None, None]
        channel = torch.arange(channels)[:, None, None]
        return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _margin(shape: Sequence[int]) -> int:
    return max(1, min(shape[1:]) // 8)


class Flip(Augment):
    """Mirror each image left to right with probability 1/2."""

    stream = 17

    def draw(self, random: np.random.Generator, samples: int, shape: Sequence[int]) -> Draws:
        """Draw 1 for images to mirror, else 0: (samples,)."""
        return random.integers(0, 2, samples)

    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        return torch.where(torch.from_numpy(drawn).bool()[:, None, None, None], images.flip(-1), images)
