"""Stage 2, input data partition: which worker owns which samples, and in which order it sees them.

A pure function of (samples, workers, seed): no strategy can change it, and every process computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from common.ledger import digest

Indices = NDArray[np.int64]
_DEAL, _ORDER = 0, 1  # separate random streams under one seed


def partition(samples: int, workers: int, seed: int) -> list[Indices]:
    """Deal shuffled sample indices to the workers: each sample to exactly one, sizes differ by one at most."""
    shuffled = np.random.default_rng((seed, _DEAL)).permutation(samples)
    return [shuffled[worker::workers] for worker in range(workers)]


class Batches:
    """A batch sampler: the indices of each step for the `mine` of all workers, one after the other.

    Each worker goes through its own part in a fresh order every epoch and drops the remainder, so that all workers
    have the same number of steps an epoch. `digests` holds one ledger entry a worker for the batch drawn last.
    """

    def __init__(
        self, parts: Sequence[Indices], mine: Sequence[int], batch: int, steps: int, seed: int, start: int = 0
    ) -> None:
        """`batch` samples a worker and step, from step `start` to below `steps`. ValueError if a part is too small."""
        self.parts, self.mine, self.batch, self.steps, self.seed = parts, mine, batch, steps, seed
        self.start = start
        self.steps_per_epoch = min(len(part) for part in parts) // batch
        if not self.steps_per_epoch:
            raise ValueError(f"a batch of {batch} samples a worker, but a worker has only {min(map(len, parts))}")
        self.digests: list[str] = []

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
            yield np.concatenate(drawn).tolist()

    def _shuffled(self, worker: int, epoch: int) -> Indices:
        return np.random.default_rng((self.seed, _ORDER, worker, epoch)).permutation(self.parts[worker])
