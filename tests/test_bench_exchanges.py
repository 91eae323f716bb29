"""Every correct strategy passes the verification, and every planted mistake is counted."""

from functools import partial

import numpy as np
import pytest
from planted import TinyServer

from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.tree import Tree
from common.pipeline.update import BLOCK
from common.simulate import simulate
from common.strategy import Bucket
from experiments.bench.exchanges import (
    PERIOD,
    AllReduceAndUpdate,
    AllReduceExchange,
    BufferPool,
    ServerExchange,
    SubtractGradient,
    count_wrong,
    fill_periodic,
    rank_values,
    summed_values,
)
from ps.strategy import PsBsp

SIZE = 2 * PERIOD + 17


class ForgetsOneRank(Star):
    def all_reduce(self, ctx, x):
        before = x.copy()
        super().all_reduce(ctx, x)
        ctx.settle()
        if ctx.rank == 0:
            x[3] -= before[3]


class SwapsTwoElements(Ring):
    def all_reduce(self, ctx, x):
        super().all_reduce(ctx, x)
        ctx.settle()
        x[[0, 1]] = x[[1, 0]]


class ForgetsTheSecondTime(Ring):
    def all_reduce(self, ctx, x):
        if ctx.place.step < 1:
            super().all_reduce(ctx, x)


class AnswersWithOldParameters(TinyServer):
    def answer(self, ctx, params):
        for worker in ctx.workers:
            ctx.send(worker, params + np.float32(worker == 1 and ctx.place.step >= 0))


class ForgetsToDivide(Ring):
    def synchronize(self, ctx, bucket):
        self.all_reduce(ctx, bucket.grad)
        ctx.settle()


def wrong(make, workers=3, servers=0, size=SIZE, kind=None):
    """Elements that are wrong after two exchanges, of all workers together."""
    kind = kind or (ServerExchange if servers else AllReduceExchange)

    def program(ctx):
        if ctx.rank in ctx.servers:
            params, grad = np.zeros((2, size), np.float32)
            make().serve(ctx, params, [Bucket(grad, params)])
            return 0
        exchange, found = kind(make, ctx, BufferPool(ctx.alloc, largest=0)), 0
        exchange.begin(size)
        for step in range(2):
            ctx.place.step = step
            exchange.fill(step)
            exchange.exchange()
            found += exchange.wrong(step)
        exchange.end()
        exchange.close()
        return found

    outcome = simulate(
        program,
        workers + servers,
        servers=servers,
        optimizer=partial(SubtractGradient, updated=lambda: None),
    )
    return sum(outcome.results)


@pytest.mark.parametrize("make", [Star, Ring, Tree])
@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 5, PERIOD, SIZE])
def test_an_all_reduce_that_is_right_has_no_wrong_element(make, workers, size):
    assert wrong(make, workers, size=size) == 0


@pytest.mark.parametrize("make", [Star, Ring, Tree])
@pytest.mark.parametrize("size", [1, PERIOD, BLOCK + 17])
def test_parameters_that_workers_update_have_no_wrong_element(make, size):
    assert wrong(make, 3, size=size, kind=AllReduceAndUpdate) == 0


def test_updated_parameters_show_a_gradient_that_is_not_the_mean():
    assert wrong(ForgetsToDivide, size=SIZE, kind=AllReduceExchange) == 0
    assert wrong(ForgetsToDivide, size=SIZE, kind=AllReduceAndUpdate) == 2 * 3 * SIZE


@pytest.mark.parametrize("make", [PsBsp, TinyServer])
@pytest.mark.parametrize(("workers", "servers"), [(2, 1), (3, 2), (4, 1)])
def test_a_parameter_server_that_is_right_has_no_wrong_element(make, workers, servers):
    assert wrong(make, workers, servers) == 0


@pytest.mark.parametrize(
    ("make", "servers", "expected"),
    [
        (ForgetsOneRank, 0, 2),  # one element of one rank, in each of two exchanges
        (SwapsTwoElements, 0, 2 * 2 * 3),
        (AnswersWithOldParameters, 1, 2 * SIZE),  # one worker
    ],
)
def test_every_wrong_element_is_counted(make, servers, expected):
    assert wrong(make, servers=servers) == expected


def test_a_second_exchange_that_is_wrong_is_seen():
    assert wrong(ForgetsTheSecondTime) > SIZE


def test_the_numbers_differ_by_rank_and_step_and_add_up_exactly():
    assert len({rank_values(rank, step).tobytes() for rank in range(4) for step in range(3)}) == 12
    expected = sum(rank_values(rank, 1).astype(np.int64) for rank in range(256))
    assert (summed_values(256, 1) == expected).all()
    assert 256 * expected.max() < 1 << 24  # the mean that a server takes: whole below this


@pytest.mark.parametrize("shift", [1 << k for k in range(8, 25)])
def test_a_piece_in_the_wrong_place_is_seen_whatever_its_size(shift):
    period = summed_values(4, 0)
    moved = np.roll(period, shift % PERIOD)
    assert np.count_nonzero(moved != period) > PERIOD / 2


def test_elements_that_are_not_numbers_are_wrong():
    x = np.empty(PERIOD + 3, np.float32)
    fill_periodic(x, rank_values(0, 0))
    assert count_wrong(x, rank_values(0, 0)) == 0
    x[[0, PERIOD + 1]] = np.nan
    assert count_wrong(x, rank_values(0, 0)) == 2


def test_a_pool_asks_for_memory_once_and_hands_it_out_zeroed():
    asked = []

    def alloc(shape, dtype):
        asked.append(shape)
        return np.zeros(shape, dtype)

    pool = BufferPool(alloc, largest=400)
    for size in (100, 7, 50):
        pool.begin()
        first, second = pool.alloc(size, np.float32), pool.alloc((size,), np.float32)
        assert not np.shares_memory(first, second)
        assert first.shape == second.shape == (size,)
        assert not first.any()
        first[:] = second[:] = 1
    assert asked == [400, 400]
