"""The parameter server as a strategy: pushes, pulls, its last words, and what it does when somebody errs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.context import EMPTY
from common.errors import FINISH, DeadlineExceeded, PeerFailed, ProtocolError
from common.pipeline.buckets import cut
from common.strategy import Bucket, Link
from common.testing import SGD, Trial, check_strategy, rough_gradient, whole_gradient
from common.transport.virtual import Kill, Network, simulate
from ps.strategy import PsBsp

NETWORK = Network(latency=1.0, bandwidth=2.0**20)


def run(workers, servers, size, *, steps=3, gradient=whole_gradient, **more):
    """Each worker's parameters after every step, float32 of shape (workers, steps + 1, size)."""
    trial = Trial(PsBsp, workers, servers, size, SGD, gradient, steps=steps, **more)
    return np.stack(trial.run().results[:workers])[:, :, 1]


def serve(ctx, strategy, size, pieces=None):
    """The life of a server of `size` parameters, in one bucket or in several."""
    grad, params = np.zeros(size, np.float32), np.zeros(size, np.float32)
    strategy.serve(ctx, params, cut(grad, params, pieces or [slice(0, size)]))


# --- what it computes ---


@pytest.mark.parametrize("workers", range(1, 6))
@pytest.mark.parametrize("servers", [1, 2, 5])
def test_it_keeps_its_promises(workers, servers):
    check_strategy(PsBsp, workers=(workers,), servers=(servers,))


@pytest.mark.parametrize("size", [0, 1, 3])
def test_it_keeps_them_with_more_servers_than_parameters(size):
    check_strategy(PsBsp, workers=(1, 3), servers=(7,), sizes=(size,))


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 40))
def test_the_parameters_are_those_of_plain_steps_along_the_mean_gradient(workers, servers, size):
    params = run(workers, servers, size)
    expected = params[0, 0].copy()
    for step in range(3):
        mean = sum(whole_gradient(rank, step, size) for rank in range(workers)) / np.float32(workers)
        expected -= np.float32(0.125) * mean
        for worker in range(workers):
            np.testing.assert_allclose(params[worker, step + 1], expected, rtol=1e-6)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 40), st.integers(0, 9))
def test_neither_servers_nor_the_order_of_arrival_change_a_bit(workers, servers, size, seed):
    network = Network(latency=1e-3, jitter=0.02, seed=seed)
    one = run(workers, 1, size, gradient=rough_gradient)
    other = run(workers, servers, size, gradient=rough_gradient, network=network)
    assert one.tobytes() == other.tobytes()


def test_each_server_has_an_optimizer_over_its_shard_alone():
    made = {}

    def program(ctx):
        strategy = PsBsp()
        if ctx.rank in ctx.servers:
            return serve(ctx, strategy, 10)
        strategy.setup(ctx, np.arange(10, dtype=np.float32))
        ctx.place.step = FINISH
        strategy.finish(ctx)

    def optimizer(params):
        made[len(made)] = params
        return SGD(params)

    simulate(program, 4, servers=3, optimizer=optimizer)
    assert sorted(each.tolist() for each in made.values()) == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


# --- what it costs ---


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_a_worker_sends_its_gradient_once_and_the_servers_their_shards_to_all(workers, servers, size):
    sent = [PsBsp().bytes_sent(rank, workers, servers, size) for rank in range(workers + servers)]
    assert sent[:workers] == [4 * size] * workers
    assert sum(sent[workers:]) == 4 * size * workers
    assert max(sent[workers:]) - min(sent[workers:]) <= 4 * workers


@pytest.mark.parametrize(("workers", "servers", "load"), [(4, 1, 4), (4, 2, 2), (4, 4, 1), (4, 8, 1)])
def test_few_servers_are_a_bottleneck_and_more_than_workers_do_not_help(workers, servers, load):
    link = Link(alpha=0.5, beta=1.0)
    assert PsBsp().seconds(workers, servers, 100, link) == 2 * 0.5 + 2 * load * 100


# --- when somebody errs ---


def job(*misbehave, servers=1, size=8, pieces=None):
    """Worker r runs misbehave[r](ctx, strategy) after a proper setup; servers serve."""

    def program(ctx):
        strategy = PsBsp()
        if ctx.rank in ctx.servers:
            return serve(ctx, strategy, size, pieces)
        ctx.place.stage = "synchronize"
        strategy.setup(ctx, np.zeros(size, np.float32))
        ctx.barrier()
        return misbehave[ctx.rank](ctx, strategy)

    return simulate(program, len(misbehave) + servers, servers=servers, optimizer=SGD, check=False, network=NETWORK)


def good(ctx, strategy, *, steps=3, size=8):
    """A worker that does as it should."""
    for ctx.place.step in range(steps):
        strategy.synchronize(ctx, Bucket(np.ones(size, np.float32), np.zeros(size, np.float32)))
    ctx.place.step = FINISH
    strategy.finish(ctx)


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


def leaves_early(ctx, strategy):
    ctx.place.step = FINISH
    ctx.send(ctx.servers[0], EMPTY)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (skips_a_step, "expected step 0, bucket 0, 8 × float32 from rank 1, got step 1, bucket 0, 8 × float32"),
        (sends_less, "expected step 0, bucket 0, 8 × float32 from rank 1, got step 0, bucket 0, 1 × float32"),
        (sends_more, "expected step 0, bucket 0, 8 × float32 from rank 1, got step 0, bucket 0, 9 × float32"),
        (sends_integers, "expected step 0, bucket 0, 8 × float32 from rank 1, got step 0, bucket 0, 8 × int32"),
        (leaves_early, "expected step 0, bucket 0, 8 × float32 from rank 1, got finish, bucket 0, 0 × float32"),
    ],
)
def test_a_worker_that_errs_is_a_protocol_error_at_the_server_which_all_others_hear(mistake, message):
    outcome = job(good, mistake, good)
    error = outcome.errors[3]
    assert isinstance(error, ProtocolError)
    assert message in error.cause
    assert (error.rank, error.role, error.stage) == (3, "server", "synchronize")
    for worker in (0, 2):
        assert isinstance(outcome.errors[worker], PeerFailed)
        assert (outcome.errors[worker].rank, outcome.errors[worker].cause) == (3, error.cause)


def two_buckets(ctx, strategy, *, order=(0, 1), steps=3):
    """A worker of 8 parameters in two buckets, the last 5 and the first 3."""
    grad, params = np.ones(8, np.float32), np.zeros(8, np.float32)
    buckets = cut(grad, params, HALVES)
    for ctx.place.step in range(steps):
        for ctx.place.bucket in order:
            strategy.synchronize(ctx, buckets[ctx.place.bucket])
    ctx.place.step, ctx.place.bucket = FINISH, 0
    strategy.finish(ctx)
    return params


HALVES = [slice(3, 8), slice(0, 3)]


@pytest.mark.parametrize("servers", [1, 2, 7])
def test_each_bucket_has_a_state_of_its_own(servers):
    outcome = job(two_buckets, two_buckets, servers=servers, pieces=HALVES)
    assert outcome.errors == {}
    assert [params.tolist() for params in outcome.results[:2]] == [[-3 * 0.125] * 8] * 2


def test_workers_at_different_buckets_wait_for_each_other_and_for_nobody_else():
    def slow(ctx, strategy):
        ctx.sleep(20.0)
        return two_buckets(ctx, strategy)

    outcome = job(two_buckets, slow, two_buckets, servers=2, pieces=HALVES)
    assert outcome.errors == {}


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            lambda ctx, strategy: two_buckets(ctx, strategy, order=(1, 0)),
            "worker 0 sent bucket 1, 3 elements; its next is bucket 0, 5 elements",
        ),
        (
            lambda ctx, strategy: two_buckets(ctx, strategy, order=(0,), steps=1),
            "expected step 0, bucket 1, 3 × float32 from rank 0, got finish, bucket 0, 0 × float32",
        ),
    ],
    ids=["another order", "leaves in the middle"],
)
def test_a_worker_that_mixes_up_its_buckets_is_told(mistake, message):
    error = job(mistake, mistake, pieces=HALVES).errors[2]
    assert isinstance(error, ProtocolError)
    assert error.cause == message


@pytest.mark.parametrize("servers", [1, 3])
def test_when_a_server_dies_every_worker_and_server_ends_with_its_name(servers):
    workers, size = 3, 30
    trial = Trial(PsBsp, workers, servers, size, SGD, steps=6, network=NETWORK)
    seconds = trial.run().seconds
    for culprit in range(workers, workers + servers):
        for share in (0.0, 0.3, 0.6):
            faults = (Kill(culprit, at=share * seconds),)
            errors = Trial(PsBsp, workers, servers, size, SGD, steps=6, network=NETWORK, faults=faults).run().errors
            assert set(errors) == set(range(workers + servers))
            for rank, error in errors.items():
                assert isinstance(error, PeerFailed), f"rank {rank}: {error!r}"
                assert error.rank == culprit


def test_a_server_whose_workers_never_come_gives_up_at_the_deadline_and_names_who_is_missing():
    def program(ctx):
        if ctx.rank in ctx.servers:
            return serve(ctx, PsBsp(), 4)
        ctx.sleep(100.0)

    outcome = simulate(program, 2, servers=1, optimizer=SGD, deadline=10.0, check=False)
    assert isinstance(outcome.errors[1], DeadlineExceeded)
    assert outcome.errors[1].peers == (0,)


def test_servers_end_when_the_last_worker_has_left():
    assert job(good, good, servers=2).errors == {}
