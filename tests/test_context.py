"""A context knows its rank's number and role, and its calls keep the transport's contract."""

import time

import numpy as np
import pytest

from common.errors import FINISH, SETUP, ProtocolError
from common.place import Place
from common.simulate import simulate
from common.transport.base import Endpoint, as_bytes
from common.types import zeros


def test_a_place_prints_and_lists_where_a_rank_is():
    place = Place(2, "server", "synchronize", 7)
    assert str(place) == "server rank 2, stage synchronize, step 7"
    assert place.fields() == {"rank": 2, "role": "server", "stage": "synchronize", "step": 7}


def test_a_bucket_is_mentioned_unless_it_is_the_first():
    place = Place(2, "server", "synchronize", 7, bucket=3)
    assert place.fields()["bucket"] == 3
    error = ProtocolError("lost", **place.fields())
    assert str(error) == "server rank 2, stage synchronize, step 7, bucket 3: lost"
    assert error.record()["bucket"] == 3
    place.bucket = 0
    assert "bucket" not in ProtocolError("lost", **place.fields()).record()


def test_a_rank_begins_as_a_worker_in_setup():
    place = Place(0)
    assert str(place) == "worker rank 0, stage setup, setup"
    assert place.step == SETUP
    assert place.bucket == 0


def test_the_last_step_is_called_finish():
    assert str(Place(0, stage="finish", step=FINISH)) == "worker rank 0, stage finish, finish"


def test_workers_come_first_and_servers_last():
    def who(ctx):
        return ctx.rank, ctx.role, ctx.size, list(ctx.workers), list(ctx.servers)

    assert simulate(who, 3, servers=1).results == [
        (0, "worker", 3, [0, 1], [2]),
        (1, "worker", 3, [0, 1], [2]),
        (2, "server", 3, [0, 1], [2]),
    ]


def test_recv_gives_fresh_memory_of_the_shape_and_dtype_asked_for():
    def program(ctx):
        like = np.full((2, 3), 9, np.int16)
        if ctx.rank == 0:
            ctx.send(1, np.arange(6, dtype=np.int16))
            return None
        got = ctx.recv(0, like)
        assert (like == 9).all()
        return got

    got = simulate(program, 2).results[1]
    assert got.dtype == np.int16
    assert got.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_recv_any_takes_any_iterable_of_ranks():
    def program(ctx):
        if ctx.rank:
            ctx.send(0, np.zeros(1))
            return None
        return sorted(ctx.recv_any((peer for peer in (1, 2)), np.zeros(1)).sender for _ in range(2))

    assert simulate(program, 3).results[0] == [1, 2]


@pytest.mark.parametrize("n", range(1, 10))
def test_no_worker_leaves_a_barrier_before_the_last_has_come(n):
    def program(ctx):
        ctx.sleep(float(ctx.rank))
        came.append(ctx.rank)
        ctx.barrier()
        left.append(len(came))

    came, left = [], []
    simulate(program, n)
    assert left == [n] * n


def test_a_barrier_is_for_the_workers_alone():
    outcome = simulate(lambda ctx: ctx.barrier() if ctx.rank in ctx.workers else None, 5, servers=2)
    assert [sum(meter.messages_to.values()) for meter in outcome.meters] == [2, 2, 2, 0, 0]


def test_a_barrier_of_another_step_is_refused():
    def program(ctx):
        ctx.place.step = ctx.rank
        ctx.barrier()

    with pytest.raises(ProtocolError, match="expected step"):
        simulate(program, 2)


def test_the_optimizer_is_made_over_the_given_parameters():
    class Optimizer:
        def __init__(self, params):
            self.params = params

    params = np.zeros(3, np.float32)
    (made,) = simulate(lambda ctx: ctx.optimizer(params), 1, optimizer=Optimizer).results
    assert made.params is params


def test_asking_a_context_without_an_optimizer_for_one_is_an_error():
    with pytest.raises(ValueError, match="without an optimizer"):
        simulate(lambda ctx: ctx.optimizer(np.zeros(3, np.float32)), 1)


@pytest.mark.parametrize(("shape", "dtype"), [(0, np.float32), (7, np.int64), ((2, 3), np.float64)])
def test_allocated_memory_is_zero_and_contiguous(shape, dtype):
    (array,) = simulate(lambda ctx: ctx.alloc(shape, dtype), 1).results
    for each in (array, zeros(shape, dtype)):
        assert each.dtype == dtype
        assert each.shape == np.empty(shape).shape
        assert each.flags.c_contiguous
        assert not each.any()


def test_the_bytes_of_an_array_are_its_memory():
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    view = as_bytes(array)
    assert view.tobytes() == array.tobytes()
    assert np.shares_memory(view, array)
    assert as_bytes(array[:0]).size == 0


def test_the_bytes_of_a_strided_array_are_refused():
    with pytest.raises(ValueError, match=r"contiguous .* strides \(16,\)"):
        as_bytes(np.zeros(6)[::2])


def test_by_default_a_transport_has_real_time_and_plain_memory(monkeypatch):
    class Bare(Endpoint):
        send = lend = settle = recv_into = recv_add = recv_any = spawn = queue = abandon = close = None

    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    bare = Bare(Place(0), deadline=1.0)
    bare.sleep(3.0)
    assert slept == [3.0]
    assert bare.now() <= time.perf_counter()
    assert not bare.alloc(4, np.float32).any()
