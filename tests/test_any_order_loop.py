"""The server's loop for pushes in any order: late workers, silent workers, mistakes and deaths."""

import numpy as np
import pytest
from servers import (
    HALVES,
    NETWORK,
    every_one,
    paced,
    relaxed,
    sends_integers,
    sends_less,
    sends_more,
    serve,
    skips_a_step,
    two_buckets,
)

from common.errors import DeadlineExceeded, PeerFailed, ProtocolError
from common.simulate import simulate
from common.testing.trial import SGD
from common.transport.virtual.network import Kill
from ps.strategy import PsAsync, PsBackup, PsSsp


def test_a_late_worker_skips_to_the_step_of_the_others_and_ends_with_the_same_parameters():
    outcome, events = relaxed(PsBackup, paced(1.0, steps=9), paced(1.0, steps=9), paced(20.0, steps=9))
    assert outcome.errors == {}
    (all_of_them, params), _, (trained, others) = outcome.results[:3]
    assert all_of_them == list(range(9))
    assert trained[0] == 0
    assert len(trained) < 5
    assert others == params == [-9 * 0.125] * 8
    dropped = [(event["worker"], event["step"]) for event in events if event.get("outcome") == "dropped"]
    assert dropped == [(2, step) for step in trained]


def test_a_straggler_does_not_hang_when_fewer_than_a_step_needs_are_left():
    outcome, _ = relaxed(lambda: PsBackup(1), paced(1.0), paced(1.0), paced(50.0), servers=3)
    assert outcome.errors == {}
    assert outcome.results[2][0] == [0]


def test_a_slow_worker_may_need_many_deadlines_when_all_others_have_finished():
    outcome, _ = relaxed(PsAsync, paced(0.1), paced(30.0, steps=20), deadline=40.0)
    assert outcome.errors == {}
    assert outcome.results[0][1] == outcome.results[1][1]


@pytest.mark.parametrize("strategy", [PsAsync, PsSsp, PsBackup])
def test_a_worker_that_falls_silent_is_named_at_the_deadline(strategy):
    def silent(ctx, strategy, params):
        ctx.sleep(1000.0)

    outcome, _ = relaxed(strategy, paced(0.1, steps=2), paced(0.1, steps=2), silent, deadline=40.0)
    assert isinstance(outcome.errors[3], DeadlineExceeded)
    assert outcome.errors[3].cause == "waited 40 s for rank 2"
    assert outcome.errors[3].peers == (2,)


@pytest.mark.parametrize("strategy", [PsAsync, PsBackup])
def test_the_others_do_not_work_to_their_end_without_the_silent_worker(strategy):
    ends = [paced(1.0, steps=1000), paced(1.0, steps=1000), lambda ctx, strategy, params: ctx.sleep(5000.0)]
    outcome, _ = relaxed(strategy, *ends, deadline=40.0)
    assert outcome.errors[3].peers == (2,)
    assert outcome.errors[3].step < 60


def test_under_ssp_no_worker_waits_for_ever_for_a_silent_one():
    outcome, _ = relaxed(PsSsp, paced(0.1, steps=9), lambda ctx, strategy, params: ctx.sleep(1000.0), deadline=40.0)
    assert isinstance(outcome.errors[0], DeadlineExceeded)  # its answer is held back, and the server waits as long
    assert outcome.errors[0].peers == (2,)
    assert outcome.seconds < 1100.0


@every_one
@pytest.mark.parametrize("servers", [1, 2])
def test_when_a_rank_dies_all_others_end_with_its_name_and_none_hangs(strategy, servers):
    lives = [paced(3.0, steps=6), paced(3.0, steps=6), paced(9.0, steps=6)]

    def job_with(*faults):
        def program(ctx):
            made = strategy()
            if ctx.rank in ctx.servers:
                return serve(ctx, made, 8)
            params = np.zeros(8, np.float32)
            made.setup(ctx, params)
            return lives[ctx.rank](ctx, made, params)

        return simulate(
            program, 3 + servers, servers=servers, optimizer=SGD, check=False, network=NETWORK, faults=faults
        )

    for culprit in range(3 + servers):
        errors = job_with(Kill(culprit, at=16.0)).errors
        assert set(errors) == set(range(3 + servers))
        for rank, error in errors.items():
            assert isinstance(error, PeerFailed), f"rank {rank}: {error!r}"
            assert error.rank == culprit


@pytest.mark.parametrize(
    ("strategy", "mistake", "message"),
    [
        (PsAsync, skips_a_step, "worker 1 pushed step 1, its next is step 0"),
        (PsAsync, sends_less, "worker 1 pushed 1 elements, this shard has 8"),
        (PsAsync, sends_more, "expected at most 8 × float32 from rank 1, got step 0, bucket 0, 9 × float32"),
        (PsSsp, sends_integers, "expected at most 8 × float32 from rank 1, got step 0, bucket 0, 8 × int32"),
        (PsBackup, sends_less, "worker 1 pushed 1 elements, this shard has 8"),
    ],
)
def test_a_mistake_of_a_worker_is_a_protocol_error(strategy, mistake, message):
    outcome, _ = relaxed(strategy, paced(1.0), lambda ctx, made, params: mistake(ctx, made), paced(1.0))
    assert isinstance(outcome.errors[3], ProtocolError)
    assert outcome.errors[3].cause == message


def test_pushes_for_future_steps_only_are_a_protocol_error():
    outcome, _ = relaxed(lambda: PsBackup(0), lambda ctx, made, params: skips_a_step(ctx, made))
    assert isinstance(outcome.errors[1], ProtocolError)
    assert outcome.errors[1].cause == "nobody can go on: worker 0 step 1 came before their step"


@pytest.mark.parametrize("strategy", [PsAsync, PsSsp, PsBackup])
def test_a_worker_that_mixes_up_its_buckets_is_a_protocol_error(strategy):
    def mixed_up(ctx, made, params):
        return two_buckets(ctx, made, order=(1, 0))

    outcome, _ = relaxed(strategy, mixed_up, mixed_up, pieces=HALVES)
    assert isinstance(outcome.errors[2], ProtocolError)
    assert outcome.errors[2].cause.endswith("sent bucket 1, its next is bucket 0")


def test_a_worker_that_finishes_in_the_middle_of_a_step_is_a_protocol_error():
    def unfinished(ctx, made, params):
        return two_buckets(ctx, made, order=(0,), steps=1)

    outcome, _ = relaxed(PsAsync, unfinished, pieces=HALVES)
    assert outcome.errors[1].cause == "worker 0 finished in the middle of a step"
