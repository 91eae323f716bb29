"""The sample ledger: proof of which worker saw which samples at which step.

Each worker hashes the indices of every batch. The ledger of a run is one SHA-256 over the lines
`<step> <worker> <digest>`, ordered by step and worker. Runs have the same ledger, with any strategy, exactly if they
trained on the same samples in the same order, split over the same workers.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def digest(indices: NDArray[np.int64]) -> str:
    """Return 32 hex digits: the hash of one worker's sample indices, in order."""
    return hashlib.blake2b(indices.astype("<i8", copy=False).tobytes(), digest_size=16).hexdigest()


class Ledger:
    """The hash of a run, built entry by entry, in order of step and then worker."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def add(self, step: int, worker: int, samples: str) -> None:
        """Add the digest of the samples that `worker` saw in `step`."""
        self._total.update(f"{step} {worker} {samples}\n".encode())

    def hexdigest(self) -> str:
        """Return the hash so far."""
        return self._total.hexdigest()


def ledger_sha256(entries: Iterable[tuple[int, int, str]]) -> str:
    """Return the hash over all entries (step, worker, digest) of a run, given in any order."""
    ledger = Ledger()
    for entry in sorted(entries):
        ledger.add(*entry)
    return ledger.hexdigest()
