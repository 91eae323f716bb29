"""Ways to split the sample indices over the workers: each sample to one of them, sizes differing by one at most.

A pure function of its arguments: no strategy can change it, and every process computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, suggest

Indices = NDArray[np.int64]
PARTITIONERS = {
    "shuffled": "dealt out at random",
    "contiguous": "each worker a piece, in the order of the data",
    "strided": "dealt out in the order of the data: worker w has samples w, w + workers, …",
    "dirichlet:ALPHA": "each worker with classes in proportions of its own (label skew): the less ALPHA, the fewer",
}
DEAL, SKEW = 0, 2  # random streams under one seed; 1 is that of the order of batches


def shuffled(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Deal shuffled indices to the workers."""
    order = np.random.default_rng((seed, DEAL)).permutation(len(labels))
    return [order[worker::workers] for worker in range(workers)]


def contiguous(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Pieces in the order of the data."""
    return np.array_split(np.arange(len(labels)), workers)


def strided(labels: Indices, workers: int, seed: int) -> list[Indices]:
    """Deal indices in the order of the data."""
    return [np.arange(worker, len(labels), workers) for worker in range(workers)]


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Label skew (Hsu et al. 2019, arXiv:1909.06335): worker w draws proportions of the classes from Dir(alpha · p).

    p are the proportions in the data. All workers get equally many samples, so that all do as many steps: each is
    served in turn, and of a class that is used up takes others instead, so the last ones are nearer to what is left
    than to what they drew. `alpha` → ∞: all alike; → 0: a worker has one class, as far as that goes.
    """

    alpha: float

    def __call__(self, labels: Indices, workers: int, seed: int) -> list[Indices]:
        random = np.random.default_rng((seed, SKEW))
        classes, of = np.unique(labels, return_inverse=True)
        left = [random.permutation(np.flatnonzero(of == number)) for number in range(len(classes))]
        prior = np.bincount(of, minlength=len(classes)) / max(1, len(of))
        parts = []
        for worker in range(workers):
            size = len(labels) // workers + (worker < len(labels) % workers)
            wanted = random.dirichlet(self.alpha * prior) if size else prior
            counts = self._counts(np.array([len(each) for each in left]), wanted, size, random)
            taken = [each[:count] for each, count in zip(left, counts, strict=True)]
            left = [each[count:] for each, count in zip(left, counts, strict=True)]
            parts.append(random.permutation(np.concatenate(taken)) if taken else np.empty(0, np.int64))
        return parts

    @staticmethod
    def _counts(there: Indices, wanted: NDArray[np.float64], size: int, random: np.random.Generator) -> Indices:
        """How many of each class, `size` in all, drawn as `wanted`, none more often than it is `there`."""
        counts = np.zeros_like(there)
        while missing := size - int(counts.sum()):
            weights = np.where(counts < there, wanted, 0.0)
            if not weights.sum() > 0:  # none that is wanted is left
                weights = (there - counts).astype(np.float64)
            counts = np.minimum(counts + random.multinomial(missing, weights / weights.sum()), there)
        return counts


Partitioner = Callable[[Indices, int, int], list[Indices]]
_BY_NAME: dict[str, Partitioner] = {"shuffled": shuffled, "contiguous": contiguous, "strided": strided}


def partitioner(text: str) -> Partitioner:
    """The one that `text` names: gets labels (n,), workers and seed, gives indices. ConfigError, one line."""
    name, colon, given = text.partition(":")
    if name == "dirichlet":
        return Dirichlet(_alpha(text, given))
    if name not in _BY_NAME:
        raise ConfigError(f"unknown partition {text!r}: {suggest(name, [*_BY_NAME, 'dirichlet:ALPHA'])}")
    if colon:
        raise ConfigError(f"--partition {text}: {name} has no parameter; leave {colon + given} out")
    return _BY_NAME[name]


def canonical(text: str) -> str:
    """`text` in the one way to write it. ConfigError as `partitioner`."""
    found = partitioner(text)
    return f"dirichlet:{found.alpha:g}" if isinstance(found, Dirichlet) else text


def _alpha(text: str, given: str) -> float:
    try:
        alpha = float(given)
    except ValueError:
        alpha = math.nan
    if not 1e-3 <= alpha <= 1e6:
        raise ConfigError(f"--partition {text}: give a number from 0.001, the most skewed, like dirichlet:0.5")
    return alpha
