"""One process that trains on the whole batch: every synchronous strategy must agree with it."""

from allreduce.noop import Noop
from common.pipeline.engine import EngineTraits


class Single(Noop):
    """One process trains on the samples of all workers: the yardstick; nothing to synchronise."""

    traits = EngineTraits(one_process=True)
