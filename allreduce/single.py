"""One process, the whole batch: the yardstick that every synchronous strategy must agree with."""

from __future__ import annotations

from allreduce.noop import Noop
from common.strategy import Traits


class Single(Noop):
    """One process trains on the samples of all workers: the yardstick; nothing to synchronise."""

    traits = Traits(one_process=True)
