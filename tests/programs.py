"""Small programs for virtual ranks, and a network whose costs are exact in floating point."""

import numpy as np

from common.simulate import simulate
from common.transport.virtual.network import Network

# Powers of two, so that sums of them are exact.
LATENCY, OVERHEAD, BANDWIDTH, REDUCE = 2.0**-3, 2.0**-6, 2.0**10, 2.0**-12
NETWORK = Network(latency=LATENCY, bandwidth=BANDWIDTH, overhead=OVERHEAD, reduce=REDUCE)
BYTES = 64
WIRE = OVERHEAD + BYTES / BANDWIDTH  # seconds for which one message keeps an end busy
ZEROS = np.zeros(BYTES, np.uint8)


def run(*programs, **job):
    """Run programs[r] on each rank r."""
    return simulate(lambda ctx: programs[ctx.rank](ctx), len(programs), **job)


def send(to, *, times=1, after=0.0, array=ZEROS):
    """Return a program that sleeps, then sends."""

    def program(ctx):
        ctx.sleep(after)
        for _ in range(times):
            ctx.send(to, array)
        return ctx.now()

    return program


def recv(*from_, after=0.0, like=ZEROS):
    """Return a program that sleeps, receives from each of `from_`, and returns the moments of arrival."""

    def program(ctx):
        ctx.sleep(after)
        moments = []
        for peer in from_:
            ctx.recv(peer, like)
            moments.append(ctx.now())
        return moments

    return program


def idle(ctx):
    """Do nothing."""
