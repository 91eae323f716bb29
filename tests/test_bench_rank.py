"""A rank of a benchmark owns its memory, measures links, and closes everything."""

import os
from contextlib import ExitStack

import numpy as np
import pytest

from allreduce.strategy import AllReduce
from common.context import Context
from common.place import Place
from common.runtime.status_board import PostedPlace, StatusBoard
from common.simulate import simulate
from common.transport.process_endpoint import ProcessEndpoint
from common.transport.virtual.network import Network
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.bench import rank as bench_rank
from experiments.bench.exchanges import BufferPool
from experiments.bench.plan import BenchPlan, Block, Contestant
from experiments.bench.rank import BenchRank

SIZE = 1000  # elements


class Alone(ProcessEndpoint):
    """An endpoint without peers; `memory` is all that was allocated from it."""

    send = lend = settle = recv_into = recv_add = recv_any = has = close = None

    def __init__(self, place):
        super().__init__(place, 30.0, lambda: None)
        self.memory = []

    def alloc(self, shape, dtype):
        self.memory.append(np.zeros(shape, dtype))
        return self.memory[-1]

    def owns(self, array):
        return any(np.shares_memory(array, each) for each in self.memory)


class Keeps(AllReduce):
    """An all-reduce of one worker which allocates, in `setup`, what it needs until the end."""

    def setup(self, ctx, params):
        self.scratch = ctx.alloc(SIZE, np.float32)
        self.scratch[:] = 7

    def all_reduce(self, ctx, x):
        assert (self.scratch == 7).all()


@pytest.fixture
def made(monkeypatch):
    """Every strategy is `Keeps`; those made so far."""
    made = []
    monkeypatch.setattr(bench_rank, "create_call", lambda call: made.append(Keeps()) or made[-1])
    return made


def rank_on(endpoint, contestants=(), workers=1, servers=0):
    """A rank whose only transport is `endpoint`, and nobody announces its blocks."""
    plan = BenchPlan(tuple(contestants), ("ipc",), (4 * SIZE,), workers, servers, 1, "127.0.0.1", 30.0, 1)
    rank = BenchRank(plan, getattr(endpoint.place, "board", None), endpoint.place, 1, ExitStack())
    rank.meters["ipc"] = endpoint if isinstance(endpoint, MeteredEndpoint) else MeteredEndpoint(endpoint)
    rank.pools["ipc"] = BufferPool(endpoint.alloc, 4 * SIZE)
    rank.workers = Context(endpoint, workers=workers)
    return rank


def test_memory_that_a_strategy_allocates_is_never_reused(made, monkeypatch):
    monkeypatch.setattr(bench_rank, "VERIFIED", 0)
    monkeypatch.setattr(Alone, "settle", lambda self: None)
    contestants = [Contestant(name, "ipc", "ipc", False) for name in ("one", "two")]
    rank = rank_on(Alone(Place(0)), contestants)
    for _ in range(2):
        for index in range(2):
            rank._do(Block("verify", "ipc", index, 4 * SIZE), 0)
    one, two = made
    x = rank.exchanges[0].x
    assert np.shares_memory(x, rank.exchanges[1].x)  # the benchmark's own vectors are used again
    pairs = [(one.scratch, two.scratch), (one.scratch, x), (two.scratch, x)]
    assert not any(np.shares_memory(*pair) for pair in pairs)


def test_a_server_serves_from_the_memory_of_its_transport(monkeypatch):
    served = []

    class Server:
        def serve(self, ctx, params, buckets):
            served.extend([params, buckets[0].params, buckets[0].grad])

    monkeypatch.setattr(bench_rank, "create_call", lambda call: Server())
    endpoint = Alone(Place(1, "server"))
    contestant = Contestant("ps-bsp", "ipc", "ipc", True)
    rank_on(endpoint, [contestant], servers=1)._serve(Block("verify", "ipc", 0, 4 * SIZE), 0)
    assert [each.size for each in served] == [SIZE] * 3
    assert all(map(endpoint.owns, served))
    assert not np.shares_memory(served[0], served[2])


def test_the_link_is_that_of_the_transport():
    network = Network(latency=1e-3, bandwidth=1e8, reduce=3e-9)
    first, second = simulate(
        lambda ctx: rank_on(ctx.endpoint, workers=2)._do(Block("link", "ipc"), 0), 2, network=network
    ).results
    assert (first.alpha, first.beta, first.gamma) == pytest.approx((1e-3, 1e-8, 3e-9), rel=0.01)
    assert second is None


def test_everything_is_closed_whatever_one_of_them_raises(monkeypatch, tmp_path):
    closed = []

    def close(name):
        closed.append(name)
        raise OSError(f"{name} will not close")

    def connect(transport, place, ranks, home, **_):
        endpoint = Alone(place)
        endpoint.close = lambda linger: close(home.name)
        return endpoint

    monkeypatch.setattr(bench_rank, "connect", connect)
    (tmp_path / "ranks").mkdir()
    rank = rank_on(Alone(PostedPlace(StatusBoard(tmp_path / "board", 1, create=True), 0, "worker")))
    rank.open(tmp_path, tmp_path)
    descriptor = rank.file.open()
    with pytest.raises(OSError, match="will not close"):
        rank.undo.close()
    assert set(closed) == {"control", "ipc"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
