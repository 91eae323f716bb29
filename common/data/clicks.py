"""Clicks: generated data for click prediction, whose samples are ids that follow a Zipf law.

Each sample is a few ids (user, page, advertisement …) of one large table. Each id has a hidden weight; the larger the
sum of a sample's weights, the likelier a click. A few ids occur all the time and most hardly ever, so the gradient of a
table with a row for each id touches few rows.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from common.data.info import DataInfo, Generated
from common.types import Array

SEED = 0x636C6B  # the samples belong to the data set: they do not change with the seed of a run
CHUNK = 1 << 16  # samples generated at a time, which bounds the memory for intermediate results
SHARPNESS = 3.0  # how certain a click is: infinite would leave no noise, 0 nothing but noise
MOST_ROWS, MOST_IDS = 1 << 30, 1 << 28  # ids are int32; those of all samples take at most a GiB


@dataclass(frozen=True, slots=True)
class Clicks(Generated):
    """Parameters: rows of the table, ids a sample, skew (Zipf's exponent; 0: all ids equally likely), samples."""

    name: ClassVar[str] = "clicks"
    rows: int = 20_000
    ids: int = 8
    skew: float = 1.05
    samples: int = 20_000

    def __post_init__(self) -> None:
        for key, most in (("rows", MOST_ROWS), ("ids", MOST_IDS), ("samples", MOST_IDS)):
            if not 1 <= getattr(self, key) <= most:
                raise self.out_of_range(key, f"a whole number from 1 to {most:,}")
        if not (math.isfinite(self.skew) and 0 <= self.skew <= 10):
            raise self.out_of_range("skew", "a number from 0, which is no skew at all, to 10")
        if (self.samples + self.test_samples) * self.ids > MOST_IDS:
            raise self.out_of_range("samples", f"fewer: {MOST_IDS:,} ids at most, tests included")

    def info(self) -> DataInfo:
        """Return its sizes."""
        about = f"generated clicks: {self.samples:,} samples of {self.ids} ids out of {self.rows:,}, Zipf {self.skew:g}"
        return DataInfo(self.samples, self.test_samples, (self.ids,), 2, about, self.rows)

    def generate(self) -> tuple[Array, NDArray[np.int64]]:
        """Return ids, int32 of shape (n, ids), each 0 … rows-1, and labels 0 (no click) and 1."""
        random = np.random.default_rng(SEED)
        id_of = random.permutation(np.arange(self.rows, dtype=np.int32))  # popular ids lie anywhere in the table
        weight = random.standard_normal(self.rows, np.float32) * np.float32(SHARPNESS / math.sqrt(self.ids))
        # The cumulative probabilities of the ids, the most popular id first.
        law = np.cumsum(np.arange(1, self.rows + 1, dtype=np.float64) ** -self.skew)
        law /= law[-1]
        total = self.samples + self.test_samples
        x, y = np.empty((total, self.ids), np.int32), np.empty(total, np.int64)
        for start in range(0, total, CHUNK):
            piece = slice(start, min(start + CHUNK, total))
            drawn = np.searchsorted(law, random.random(x[piece].shape), side="right")
            x[piece] = id_of[drawn]
            chance = 1 / (1 + np.exp(-weight[x[piece]].sum(1)))
            y[piece] = random.random(chance.shape) < chance
        return x, y
