"""The sample ledger: proof of which worker saw which samples at which step.

Each worker hashes the indices of every batch; the ledger of a run is one SHA-256 over the lines
`<step> <worker> <digest>`, by step and worker. Runs that trained on the same samples in the same order, split over
the same workers, have the same ledger, whatever their strategy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def digest(indices: NDArray[np.int64]) -> str:
    """32 hex digits that stand for one worker's sample indices, in order."""
    return hashlib.blake2b(indices.astype("<i8", copy=False).tobytes(), digest_size=16).hexdigest()


def ledger_sha256(entries: Iterable[tuple[int, int, str]]) -> str:
    """The hash over all (step, worker, digest) of a run, in whatever order they come."""
    total = hashlib.sha256()
    for step, worker, samples in sorted(entries):
        total.update(f"{step} {worker} {samples}\n".encode())
    return total.hexdigest()
