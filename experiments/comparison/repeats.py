"""Several runs of the same thing: what must not differ between them."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import CheckFailed
from experiments.runs.run import Run


def same_bits(runs: Sequence[Run]) -> None:
    """Raises CheckFailed unless all repeats of a strategy ended with the same bits."""
    first: dict[str, Sequence[str]] = {}
    for run in runs:
        hashes = run.summary.params_sha256
        if first.setdefault(run.strategy, hashes) != hashes:
            raise CheckFailed(f"{run.strategy}: the same command gave other bits the second time, in {run.path}")
