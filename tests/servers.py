"""Parameter servers in virtual time, with workers that make mistakes and workers that do not."""

import numpy as np
import pytest

from common.errors import FINISH
from common.pipeline.buckets import make_buckets
from common.simulate import simulate
from common.strategy import Bucket
from common.testing.trial import SGD
from common.transport.virtual.network import Network
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

NETWORK = Network(latency=1.0, bandwidth=2.0**20)
HALVES = [slice(3, 8), slice(0, 3)]  # of 8 parameters: the bucket that backward fills first, and the other
EVERY = [PsBsp, PsSsp, PsAsync, PsBackup]
every_one = pytest.mark.parametrize("strategy", EVERY)


def serve(ctx, strategy, size, pieces=None):
    """Live the life of a server of `size` parameters, in one bucket or in several."""
    grad, params = np.zeros(size, np.float32), np.zeros(size, np.float32)
    strategy.serve(ctx, params, make_buckets(grad, params, pieces or [slice(0, size)]))


def skips_a_step(ctx, strategy):
    ctx.place.step = 1
    strategy.synchronize(ctx, Bucket(np.ones(8, np.float32), np.zeros(8, np.float32)))


def sends_less(ctx, strategy):
    ctx.place.step = 0
    ctx.send(ctx.servers[0], np.ones(1, np.float32))
    ctx.recv(ctx.servers[0], np.ones(8, np.float32))


def sends_more(ctx, strategy):
    ctx.place.step = 0
    ctx.send(ctx.servers[0], np.ones(9, np.float32))
    ctx.recv(ctx.servers[0], np.ones(8, np.float32))


def sends_integers(ctx, strategy):
    ctx.place.step = 0
    ctx.send(ctx.servers[0], np.ones(8, np.int32))
    ctx.recv(ctx.servers[0], np.ones(8, np.float32))


def two_buckets(ctx, strategy, *, order=(0, 1), steps=3):
    """A worker of 8 parameters in two buckets, the last 5 and the first 3."""
    grad, params = np.ones(8, np.float32), np.zeros(8, np.float32)
    buckets = make_buckets(grad, params, HALVES)
    for ctx.place.step in range(steps):
        for ctx.place.bucket in order:
            strategy.synchronize(ctx, buckets[ctx.place.bucket])
    ctx.place.step, ctx.place.bucket = FINISH, 0
    strategy.finish(ctx)
    return params


def relaxed(make, *lives, servers=1, size=8, deadline=60.0, pieces=None):
    """Let worker r run lives[r](ctx, strategy, params) after setup; return the outcome and the servers' events."""
    events = []

    def program(ctx):
        strategy = make()
        if ctx.rank in ctx.servers:
            ctx.record = events.append
            return serve(ctx, strategy, size, pieces)
        ctx.place.stage = "synchronize"
        params = np.zeros(size, np.float32)
        strategy.setup(ctx, params)
        ctx.barrier()
        return lives[ctx.rank](ctx, strategy, params)

    ranks = len(lives) + servers
    outcome = simulate(program, ranks, servers=servers, optimizer=SGD, check=False, network=NETWORK, deadline=deadline)
    return outcome, events


def paced(seconds, *, steps=4):
    """Return a worker whose stage 4 takes so many seconds; its result: the steps that it trained, its parameters."""

    def life(ctx, strategy, params):
        trained = []
        for ctx.place.step in range(steps):
            if ctx.place.step >= ctx.skipped_to:
                ctx.sleep(seconds)
                strategy.synchronize(ctx, Bucket(np.ones(8, np.float32), params))
                trained.append(ctx.place.step)
        ctx.place.step = FINISH
        strategy.finish(ctx)
        return trained, params.tolist()

    return life
