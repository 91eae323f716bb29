"""The communication thread: in order, in the right place, with its errors in the worker, and gone at the end."""

import threading

import numpy as np
import pytest
from transports import TRANSPORTS, ZMQ, on

from common.errors import DeadlineExceeded, PeerFailed, RunError
from common.pipeline.communicator import Communicator
from common.simulate import simulate
from common.strategy import Bucket, SyncStrategy
from common.transport.virtual.network import Kill, Network

EVERY = pytest.mark.parametrize("transport", TRANSPORTS)


def buckets(count):
    return [Bucket(np.full(4, index, np.float32), np.zeros(4, np.float32), index) for index in range(count)]


class Swap(SyncStrategy):
    """Everybody takes the gradient of the right neighbour; notes where it was called."""

    def __init__(self):
        self.places = []

    def synchronize(self, ctx, bucket):
        place = ctx.place
        self.places.append((place.stage, place.step, place.bucket))
        ctx.send((ctx.rank - 1) % ctx.size, bucket.grad + ctx.rank)
        ctx.recv_into((ctx.rank + 1) % ctx.size, bucket.grad)


class FailsAt1(Swap):
    def synchronize(self, ctx, bucket):
        if ctx.rank == 0 and bucket.index == 1:
            raise RunError("a planted error", **ctx.place.fields())
        super().synchronize(ctx, bucket)


def give_all(ctx, communicator, pieces):
    """One step: give all, and take back."""
    ctx.place.enter("train")
    for bucket in pieces:
        communicator.submit(bucket)
    return communicator.wait_all()


@EVERY
def test_buckets_are_synchronised_in_order_under_the_stamps_of_their_own(transport):
    def program(ctx):
        strategy, pieces = Swap(), buckets(3)
        communicator = Communicator(ctx, strategy)
        for ctx.place.step in range(2):
            spans = give_all(ctx, communicator, pieces)
            assert len(spans) == 3
            assert all(began <= ended for began, ended in spans)
            assert ctx.place.bucket == 0
        communicator.close()
        return strategy.places, [bucket.grad[0] for bucket in pieces]

    for places, grads in on(transport, program, 3):
        assert places == [("synchronize", step, bucket) for step in range(2) for bucket in range(3)]
        assert len(set(np.diff(grads))) == 1


@EVERY
def test_an_error_is_raised_in_the_worker_as_it_was_with_its_place(transport):
    def program(ctx):
        ctx.place.step = 7
        communicator = Communicator(ctx, FailsAt1())
        if ctx.rank:
            communicator.submit(buckets(1)[0])
            communicator.wait_all()
            return communicator.close()
        with pytest.raises(RunError, match="a planted error") as caught:
            give_all(ctx, communicator, buckets(3))
        communicator.close()
        return caught.value

    error = on(transport, program, 2)[0]
    assert type(error) is RunError
    assert (error.rank, error.stage, error.step, error.bucket) == (0, "synchronize", 7, 1)


@pytest.mark.parametrize("transport", ZMQ)
def test_a_peer_that_never_comes_is_the_workers_deadline(transport):
    def program(ctx):
        if ctx.rank:
            return None
        communicator = Communicator(ctx, Swap())
        with pytest.raises(DeadlineExceeded) as caught:
            give_all(ctx, communicator, buckets(2))
        communicator.close()
        return caught.value

    error = on(transport, program, 2, deadline=0.2)[0]
    assert (error.peers, error.stage) == ((1,), "synchronize")


@pytest.mark.parametrize("transport", ZMQ)
def test_a_worker_that_fails_ends_its_communicator_in_the_middle_of_a_call(transport):
    def program(ctx):
        if ctx.rank:
            return None
        communicator = Communicator(ctx, Swap())
        communicator.submit(buckets(1)[0])  # waits for rank 1, which never comes
        communicator.close()
        return [thread.name for thread in threading.enumerate() if thread.name == "beside rank 0"]

    assert on(transport, program, 2, deadline=1000.0)[0] == []


def test_a_worker_that_fails_ends_its_communicator_in_virtual_time():
    def program(ctx):
        if ctx.rank:
            return ctx.sleep(50.0)
        communicator = Communicator(ctx, Swap())
        communicator.submit(buckets(1)[0])
        ctx.sleep(1.0)
        communicator.close()
        return ctx.now()

    assert simulate(program, 2).results[0] == 1.0


@pytest.mark.parametrize("transport", ZMQ)
def test_no_thread_is_left_behind(transport):
    def program(ctx):
        communicator = Communicator(ctx, Swap())
        give_all(ctx, communicator, buckets(2))
        communicator.close()

    before = threading.active_count()
    on(transport, program, 2)
    assert threading.active_count() == before


def test_a_rank_that_is_killed_takes_its_communicator_along_and_the_others_hear_of_it():
    def program(ctx):
        strategy = Swap()
        communicator = Communicator(ctx, strategy)
        try:
            for ctx.place.step in range(100):
                give_all(ctx, communicator, buckets(3))
        finally:
            communicator.close()

    errors = simulate(program, 3, network=Network(latency=1.0), faults=[Kill(1, at=20.5)], check=False).errors
    assert set(errors) == {0, 1, 2}
    assert all(isinstance(error, PeerFailed) and error.rank == 1 for error in errors.values())
    assert all((error.stage, error.step) == ("synchronize", 6) for error in errors.values())
