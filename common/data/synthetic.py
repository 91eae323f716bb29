"""Synthetic: generated classes, each a point in space with noise around it."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from common.data.info import DataInfo, Generated
from common.types import Array

SEED = 0x73796E  # the samples belong to the data set: they do not change with the seed of a run
MOST_VALUES = 1 << 28  # values, tests included: a GiB


@dataclass(frozen=True, slots=True)
class Synthetic(Generated):
    """Parameters: samples, features, classes, and the distance of samples from the point of their class.

    `noise` is the standard deviation of a feature around its class; the classes have standard deviation 1 around 0.
    With a `side`, samples are images: `features` channels of side × side.
    """

    name: ClassVar[str] = "synthetic"
    samples: int = 2_000
    features: int = 20
    classes: int = 10
    noise: float = 2.0
    side: int = 0

    def __post_init__(self) -> None:
        for key, least in (("samples", 1), ("features", 1), ("classes", 2), ("side", 0)):
            if not least <= getattr(self, key) <= MOST_VALUES:
                raise self.out_of_range(key, f"a whole number from {least} to {MOST_VALUES:,}")
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 1e6):
            raise self.out_of_range("noise", "a number from 0, which is no noise at all")
        if (self.samples + self.test_samples + self.classes) * math.prod(self.shape) > MOST_VALUES:
            raise self.out_of_range("samples", f"fewer: {MOST_VALUES:,} values at most, tests included")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample."""
        return (self.features, self.side, self.side) if self.side else (self.features,)

    def info(self) -> DataInfo:
        """Return its sizes."""
        size = "×".join(map(str, self.shape))
        about = f"generated: {self.samples:,} samples of {size} in {self.classes} classes, noise {self.noise:g}"
        return DataInfo(self.samples, self.test_samples, self.shape, self.classes, about)

    def generate(self) -> tuple[Array, NDArray[np.int64]]:
        """Return values, float32 of shape (n, *shape), and classes."""
        random = np.random.default_rng(SEED)
        centres = random.standard_normal((self.classes, *self.shape), np.float32)
        total = self.samples + self.test_samples
        y: NDArray[np.int64] = random.integers(0, self.classes, total)
        x = random.standard_normal((total, *self.shape), np.float32)
        x *= np.float32(self.noise)
        x += centres[y]
        return x, y
