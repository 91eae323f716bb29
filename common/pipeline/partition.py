"""Stage 2, input data partition: which worker owns which samples, and in which order it sees them.

A pure function of (samples, workers, seed) and the way to split: no strategy can change it, and every process computes
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from common.pipeline.partitioners import Indices, partitioner
from common.records.ledger import digest

_ORDER = 1  # a random stream of its own under the seed, beside those of the partitioners


def partition(
    samples: int, workers: int, seed: int, how: str = "shuffled", labels: Indices | None = None
) -> list[Indices]:
    """Sample indices of each worker, as the partitioner `how` splits them: each sample belongs to exactly one.

    Sizes differ by one at most. `labels`, shape (samples,), are for those that go by them. ConfigError as partitioner.
    """
    return partitioner(how)(np.zeros(samples, np.int64) if labels is None else labels, workers, seed)


class Batches:
    """A batch sampler: the indices of each step for the `mine` of all workers, one after the other.

    Each worker goes through its own part in a fresh order every epoch and drops the remainder, so that all workers
    have the same number of steps an epoch. `digests` holds one ledger entry a worker for the batch drawn last,
    `epoch` says which pass it belongs to.
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
