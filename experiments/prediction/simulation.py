"""Run a strategy's exchange in virtual time: the code that runs on real transports, on a network of given figures."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.context import Context, Optimizer
from common.errors import FINISH, SETUP, RunError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, DEDICATED
from common.simulate import simulate
from common.strategy import Bucket, Link
from common.transport.virtual.network import Network
from common.types import FLOAT_BYTES, Vector
from experiments.config.strategies import create

MOST_WORKERS = 1024
MOST_BYTES = 2 << 30  # of the vectors of all ranks
MESSAGE_SECONDS, BYTE_SECONDS = 15e-6, 12e-9  # that it takes to simulate a message, and a byte of each rank's vector
FOREVER = 1e12  # seconds of virtual time


class FreeOptimizer(Optimizer):
    """An optimizer that takes no time and changes nothing."""

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None: ...


def simulation_cost(
    name: str, options: Mapping[str, Any], workers: int, servers: int, nbytes: int, placement: str = DEDICATED
) -> float:
    """Return roughly the real seconds of `simulate_exchange`, by its messages; infinite if it cannot be run."""
    if engine_traits(create(name, dict(options)).traits).own_transport is not None or placement == COLOCATED:
        return math.inf
    if max(workers, servers) > MOST_WORKERS or (workers + servers) * nbytes > MOST_BYTES:
        return math.inf
    few = [min(workers, count) for count in (4, 8)]
    try:
        small, large = (
            simulate_exchange(name, options, count, servers, FLOAT_BYTES * count, Link())[1] for count in few
        )
    except RunError:
        return math.inf
    messages = float(large)
    if workers > few[1] and small:
        messages *= (workers / few[1]) ** math.log2(max(large, small) / small)
    return messages * MESSAGE_SECONDS + (workers + servers) * nbytes * BYTE_SECONDS


def simulate_exchange(
    name: str, options: Mapping[str, Any], workers: int, servers: int, nbytes: int, link: Link
) -> tuple[float, int]:
    """Return virtual seconds until the last worker has its result, and the messages. Blocks. RunError."""
    ready: list[float] = []
    size = nbytes // FLOAT_BYTES

    def program(ctx: Context) -> float:
        strategy = create(name, dict(options))
        grad, params = np.zeros(size, np.float32), np.zeros(size, np.float32)
        bucket = Bucket(grad, params)
        ctx.place.step = SETUP
        if ctx.rank in ctx.servers:
            strategy.serve(ctx, params, [bucket])
            return 0.0
        strategy.setup(ctx, params)
        ready.append(ctx.now())
        ctx.barrier()  # all workers are in `ready` now
        began = max(ready) + 2 * link.alpha * workers.bit_length()
        ctx.sleep(began - ctx.now())
        ctx.place.step = 0
        strategy.synchronize(ctx, bucket)
        seconds = ctx.now() - began
        ctx.place.step = FINISH
        strategy.finish(ctx)
        ctx.settle()
        return seconds

    bandwidth = 1 / link.beta if link.beta else math.inf
    outcome = simulate(
        program,
        workers + servers,
        servers=servers,
        network=Network(latency=link.alpha, bandwidth=bandwidth, reduce=link.gamma),
        deadline=FOREVER,
        optimizer=lambda params: FreeOptimizer(),
    )
    return max(outcome.results), sum(sum(meter.messages_to.values()) for meter in outcome.meters)
