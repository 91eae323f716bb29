"""The parameter server in lockstep, when a rank makes a mistake or dies: the errors of all ranks."""

import numpy as np
import pytest
from servers import HALVES, NETWORK, sends_integers, sends_less, sends_more, serve, skips_a_step, two_buckets

from common.errors import FINISH, DeadlineExceeded, PeerFailed, ProtocolError
from common.simulate import simulate
from common.strategy import Bucket
from common.testing.trial import SGD, Trial
from common.transport.virtual.network import Kill
from common.types import EMPTY
from ps.strategy import PsBsp


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
    """A worker without a mistake."""
    for ctx.place.step in range(steps):
        strategy.synchronize(ctx, Bucket(np.ones(size, np.float32), np.zeros(size, np.float32)))
    ctx.place.step = FINISH
    strategy.finish(ctx)


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
def test_a_mistake_of_a_worker_is_a_protocol_error_at_the_server_and_ends_all_others(mistake, message):
    outcome = job(good, mistake, good)
    error = outcome.errors[3]
    assert isinstance(error, ProtocolError)
    assert message in error.cause
    assert (error.rank, error.role, error.stage) == (3, "server", "synchronize")
    for worker in (0, 2):
        assert isinstance(outcome.errors[worker], PeerFailed)
        assert (outcome.errors[worker].rank, outcome.errors[worker].cause) == (3, error.cause)


@pytest.mark.parametrize("servers", [1, 2, 7])
def test_each_bucket_has_a_state_of_its_own(servers):
    outcome = job(two_buckets, two_buckets, servers=servers, pieces=HALVES)
    assert outcome.errors == {}
    assert [params.tolist() for params in outcome.results[:2]] == [[-3 * 0.125] * 8] * 2


def test_workers_at_different_buckets_wait_only_for_each_other():
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
def test_a_worker_that_mixes_up_its_buckets_is_a_protocol_error(mistake, message):
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


def test_a_server_without_workers_gives_up_at_the_deadline_and_names_them():
    def program(ctx):
        if ctx.rank in ctx.servers:
            return serve(ctx, PsBsp(), 4)
        ctx.sleep(100.0)

    outcome = simulate(program, 2, servers=1, optimizer=SGD, deadline=10.0, check=False)
    assert isinstance(outcome.errors[1], DeadlineExceeded)
    assert outcome.errors[1].peers == (0,)


def test_servers_end_when_the_last_worker_has_left():
    assert job(good, good, servers=2).errors == {}
