"""A broadcast reaches every worker, over a binomial tree."""

import numpy as np
import pytest
from allreduces import (
    LINK,
    every_n,
    hops,
    jobs,
    log2,
    messages,
    network,
)
from hypothesis import given

from allreduce.broadcast import broadcast, receivers
from common.simulate import simulate
from common.transport.virtual.network import Network


def run_broadcast(n, size, net):
    """Return the outcome of a broadcast of 0, 1, 2, … from worker 0; the others begin with -1."""

    def program(ctx):
        x = np.arange(size) if ctx.rank == 0 else np.full(size, -1)
        broadcast(ctx, x)
        ctx.settle()
        return x.tolist()

    return simulate(program, n, network=net)


@given(jobs())
def test_a_broadcast_gives_every_worker_the_vector_of_worker_0(job):
    n, size, _ = job
    outcome = run_broadcast(n, size, Network())
    assert outcome.results == [list(range(size))] * n
    assert [messages(meter) for meter in outcome.meters] == [receivers(rank, n) for rank in range(n)]


@pytest.mark.parametrize("n", range(1, 34))
def test_a_broadcast_reaches_every_rank_once(n):
    assert sum(receivers(rank, n) for rank in range(n)) == n - 1
    assert receivers(0, n) == log2(n)


@every_n
def test_a_broadcast_takes_at_most_log2_n_rounds(n):
    size = 100
    one_round = LINK.alpha + np.arange(size).nbytes * LINK.beta
    assert run_broadcast(n, size, network(LINK)).seconds <= log2(n) * one_round
    assert run_broadcast(n, 0, network(LINK)).seconds == hops(n) * LINK.alpha
