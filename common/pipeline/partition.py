"""Stage 2, input data partition: which worker owns which samples, and in which order it sees them.

Every partitioner gives each sample to exactly one worker; the workers' sizes differ by one at most. The split is a pure
function of the samples, the workers, the seed and the partitioner's name. No strategy can change it, and every process
computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, suggest
from common.records.ledger import digest
from common.types import Indices

PARTITIONERS = {
    "shuffled": "dealt out at random",
    "contiguous": "each worker a piece, in the order of the data",
    "strided": "dealt out in the order of the data: worker w has samples w, w + workers, …",
    "dirichlet:ALPHA": "each worker has classes in its own proportions (label skew): a smaller ALPHA skews more",
}
_SHUFFLE, _ORDER, _SKEW = 0, 1, 2  # random streams under the job's seed: shuffled, order of batches, dirichlet


def shuffled(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Deal shuffled indices to the workers."""
    order = np.random.default_rng((seed, _SHUFFLE)).permutation(len(labels))
    return [order[worker::workers] for worker in range(workers)]


def contiguous(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Give each worker a contiguous piece, in the order of the data."""
    return np.array_split(np.arange(len(labels)), workers)


def strided(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Deal indices in the order of the data."""
    return [np.arange(worker, len(labels), workers) for worker in range(workers)]


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Label skew (Hsu et al. 2019, arXiv:1909.06335): worker w draws proportions of the classes from Dir(alpha · p).

    p are the proportions in the data. All workers get equally many samples, so all do as many steps. Workers choose one
    after the other; when a class is used up, a worker takes other classes instead. So the last workers get what is left
    rather than what they drew. `alpha` → ∞: all workers alike; → 0: each worker has one class, as far as possible.
    """

    alpha: float

    def __call__(self, labels: Indices, workers: int, seed: int) -> list[Indices]:
        random = np.random.default_rng((seed, _SKEW))
        classes, class_of = np.unique(labels, return_inverse=True)
        left = [random.permutation(np.flatnonzero(class_of == number)) for number in range(len(classes))]
        prior = np.bincount(class_of, minlength=len(classes)) / max(1, len(class_of))
        parts = []
        for worker in range(workers):
            size = len(labels) // workers + (worker < len(labels) % workers)
            wanted = random.dirichlet(self.alpha * prior) if size else prior
            counts = self._counts(np.array([len(indices) for indices in left]), wanted, size, random)
            taken = [indices[:count] for indices, count in zip(left, counts, strict=True)]
            left = [indices[count:] for indices, count in zip(left, counts, strict=True)]
            parts.append(random.permutation(np.concatenate(taken)) if taken else np.empty(0, np.int64))
        return parts

    @staticmethod
    def _counts(available: Indices, wanted: NDArray[np.float64], size: int, random: np.random.Generator) -> Indices:
        """Draw how many samples of each class to take: `size` in all, in proportions `wanted`, at most `available`."""
        counts = np.zeros_like(available)
        while missing := size - int(counts.sum()):
            weights = np.where(counts < available, wanted, 0.0)
            if not weights.sum() > 0:  # every wanted class is used up
                weights = (available - counts).astype(np.float64)
            counts = np.minimum(counts + random.multinomial(missing, weights / weights.sum()), available)
        return counts


Partitioner = Callable[[Indices, int, int], list[Indices]]
_BY_NAME: dict[str, Partitioner] = {"shuffled": shuffled, "contiguous": contiguous, "strided": strided}


def partitioner(text: str) -> Partitioner:
    """Return the partitioner named `text`: (labels (n,), workers, seed) → indices of each worker. ConfigError."""
    name, colon, given = text.partition(":")
    if name == "dirichlet":
        return Dirichlet(_alpha(text, given))
    if name not in _BY_NAME:
        raise ConfigError(f"unknown partition {text!r}: {suggest(name, [*_BY_NAME, 'dirichlet:ALPHA'])}")
    if colon:
        raise ConfigError(f"--partition {text}: {name} has no parameter; leave {colon + given} out")
    return _BY_NAME[name]


def _alpha(text: str, given: str) -> float:
    try:
        alpha = float(given)
    except ValueError:
        alpha = math.nan
    if not 1e-3 <= alpha <= 1e6:
        raise ConfigError(f"--partition {text}: give a number from 0.001, the most skewed, like dirichlet:0.5")
    return alpha


def canonical_partition(text: str) -> str:
    """Return the canonical spelling of `text`. ConfigError as `partitioner`."""
    found = partitioner(text)
    return f"dirichlet:{found.alpha:g}" if isinstance(found, Dirichlet) else text


def partition(
    samples: int, workers: int, seed: int, how: str = "shuffled", labels: Indices | None = None
) -> list[Indices]:
    """Split sample indices over the workers; return one array a worker. Only `dirichlet` reads the labels."""
    return partitioner(how)(np.zeros(samples, np.int64) if labels is None else labels, workers, seed)


class Batches:
    """A batch sampler: the indices of each step for the workers `mine`, one worker after the other.

    Each worker goes through its own part in a fresh order every epoch and drops the remainder, so that all workers
    have the same number of steps an epoch. `digests` holds one ledger entry a worker for the batch drawn last,
    `epoch` the epoch of that batch.
    """

    def __init__(
        self, parts: Sequence[Indices], mine: Sequence[int], batch: int, steps: int, seed: int, start: int = 0
    ) -> None:
        """`batch` samples a worker and step, from step `start` to below `steps`. ValueError if a part is too small."""
        self.parts, self.mine, self.batch, self.steps, self.seed = parts, mine, batch, steps, seed
        self.start = start
        smallest = min(map(len, parts))
        self.steps_per_epoch = smallest // batch
        if not self.steps_per_epoch:
            raise ValueError(f"a batch of {batch} samples a worker, but a worker has only {smallest}")
        self.digests: list[str] = []
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        order: list[Indices] = []
        for step in range(self.start, self.steps):
            epoch, turn = divmod(step, self.steps_per_epoch)
            if turn == 0 or not order:
                order = [self._shuffled(worker, epoch) for worker in self.mine]
            drawn = [indices[turn * self.batch : (turn + 1) * self.batch] for indices in order]
            self.digests = [digest(indices) for indices in drawn]
            self.epoch = epoch
            yield np.concatenate(drawn).tolist()

    def _shuffled(self, worker: int, epoch: int) -> Indices:
        return np.random.default_rng((self.seed, _ORDER, worker, epoch)).permutation(self.parts[worker])
