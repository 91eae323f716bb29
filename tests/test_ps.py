"""The parameter server as a strategy: pushes, pulls, its last words, and what it does when somebody errs."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.context import EMPTY
from common.errors import FINISH, ConfigError, DeadlineExceeded, PeerFailed, ProtocolError
from common.pipeline.buckets import cut
from common.strategy import Bucket, Link
from common.testing import SGD, Trial, check_strategy, rough_gradient, whole_gradient
from common.transport.virtual import Kill, Network, simulate
from ps import segments
from ps import strategy as strategies
from ps.consistency import ASP, BSP, SSP, Backup
from ps.history import replay
from ps.shard import Refused
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

NETWORK = Network(latency=1.0, bandwidth=2.0**20)


def run(workers, servers, size, *, make=PsBsp, steps=3, gradient=whole_gradient, **more):
    """Each worker's parameters after setup, every step and finish, float32 of shape (workers, steps + 2, size)."""
    trial = Trial(make, workers, servers, size, SGD, gradient, steps=steps, **more)
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


EVERY = [PsBsp, PsSsp, PsAsync, PsBackup]
every_one = pytest.mark.parametrize("strategy", EVERY)


@pytest.fixture
def small_segments(monkeypatch):
    """Segments of at most 7 elements."""
    monkeypatch.setattr(segments, "ELEMENTS", 7)


@every_one
def test_it_keeps_them_with_many_segments(strategy, small_segments):
    check_strategy(strategy, workers=(3,), servers=(1, 2), sizes=(50,))


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


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_a_staleness_of_zero_is_bulk_synchronous_bit_for_bit(workers, servers, seed):
    network = Network(latency=1e-3, jitter=0.02, seed=seed)
    bsp = run(workers, servers, 30, gradient=rough_gradient)
    ssp = run(workers, servers, 30, gradient=rough_gradient, network=network, make=lambda: PsSsp(0))
    assert ssp.tobytes() == bsp.tobytes()


@pytest.mark.parametrize("strategy", [PsSsp, PsAsync, lambda: PsAsync("inverse"), lambda: PsBackup(0)])
def test_one_worker_alone_has_the_same_bits_under_all_of_them(strategy):
    alone = run(1, 2, 30, gradient=rough_gradient, make=strategy)
    assert alone.tobytes() == run(1, 2, 30, gradient=rough_gradient).tobytes()


def test_of_a_thousand_orders_of_arrival_there_is_one_result():
    results = set()
    for seed in range(1000):
        network = Network(latency=1e-3, jitter=0.02, seed=seed)
        results.add(run(3, 1, 5, steps=2, gradient=rough_gradient, network=network).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize(("servers", "most"), [(1, 15), (2, 25)])
def test_a_worker_is_never_far_ahead_of_the_answers(servers, most, monkeypatch):
    """By one segment of 5 more than 10 elements a server."""
    monkeypatch.setattr(segments, "ELEMENTS", 5)
    monkeypatch.setattr(strategies, "AHEAD", 10)

    def program(ctx):
        strategy, under_way = PsBsp(), []
        if ctx.rank in ctx.servers:
            return serve(ctx, strategy, 100)
        params = np.arange(100, dtype=np.float32)
        strategy.setup(ctx, params)
        lend, recv_into = ctx.lend, ctx.recv_into
        ctx.lend = lambda to, array: [under_way.append(array.size), lend(to, array)]
        ctx.recv_into = lambda from_, out: [under_way.append(-out.size), recv_into(from_, out)]
        ctx.place.step = 0
        strategy.synchronize(ctx, Bucket(np.zeros(100, np.float32), params))
        ctx.place.step = FINISH
        strategy.finish(ctx)
        return max(accumulate(under_way))

    outcome = simulate(program, 2 + servers, servers=servers, optimizer=SGD)
    assert outcome.results[:2] == [most, most]


@every_one
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_however_short_the_way_ahead_nobody_waits_in_a_circle(strategy, workers, servers, seed):
    if strategy is PsBackup and workers == 1:
        return
    network = Network(latency=1e-3, jitter=0.02, seed=seed)
    far = run(workers, servers, 40, gradient=rough_gradient)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segments, "ELEMENTS", 5)
        patched.setattr(strategies, "AHEAD", 5)
        near = run(workers, servers, 40, gradient=rough_gradient, network=network, make=strategy)
    if strategy is PsBsp:
        assert near.tobytes() == far.tobytes()
    assert np.array_equal(near[:, -1], np.broadcast_to(near[0, -1], near[:, -1].shape))


# --- its options ---


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: PsSsp(-1), "--strategy.staleness is -1: give a whole number from 0"),
        (lambda: PsSsp(1.5), "--strategy.staleness is 1.5: give a whole number from 0"),
        (lambda: PsSsp(True), "--strategy.staleness is True: give a whole number from 0"),
        (lambda: PsBackup("1"), "--strategy.backups is '1': give a whole number from 0"),
        (lambda: PsAsync("linear"), "--strategy.damping is 'linear': give none or inverse"),
        (lambda: PsBackup(3).check(3), "--strategy.backups is 3 of 3 workers: give fewer than workers"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_in_one_line(make, complaint):
    with pytest.raises(ConfigError) as refused:
        make()
    assert str(refused.value) == complaint


def test_traits_say_what_the_options_promise():
    made = [PsBsp(), PsSsp(), PsSsp(7), PsSsp(0), PsAsync("inverse"), PsBackup(), PsBackup(2)]
    assert [each.traits.consistency for each in made] == [
        "bsp",
        "ssp(3)",
        "ssp(7)",
        "bsp",
        "asp",
        "backup(1)",
        "backup(2)",
    ]
    assert [each.traits.replicas_equal for each in made] == [True, False, False, True, False, False, False]
    PsBackup(3).check(4)


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


# --- who does not wait for everybody ---


def relaxed(make, *lives, servers=1, size=8, deadline=60.0, pieces=None):
    """Worker r lives lives[r](ctx, strategy, params) after a proper setup; returns the outcome and server events."""
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
    """A worker whose stage 4 takes so many seconds; it returns the steps that it trained, and what it ends with."""

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


def test_who_is_late_skips_to_the_step_of_the_others_and_ends_with_the_same_parameters():
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
def test_nor_do_the_others_work_to_their_end_without_it(strategy):
    ends = [paced(1.0, steps=1000), paced(1.0, steps=1000), lambda ctx, strategy, params: ctx.sleep(5000.0)]
    outcome, _ = relaxed(strategy, *ends, deadline=40.0)
    assert outcome.errors[3].peers == (2,)
    assert outcome.errors[3].step < 60


def test_under_ssp_nobody_waits_for_ever_for_a_worker_that_falls_silent():
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
def test_without_lockstep_too_a_worker_that_errs_is_a_protocol_error(strategy, mistake, message):
    outcome, _ = relaxed(strategy, paced(1.0), lambda ctx, made, params: mistake(ctx, made), paced(1.0))
    assert isinstance(outcome.errors[3], ProtocolError)
    assert outcome.errors[3].cause == message


def test_when_every_push_is_for_a_step_to_come_nobody_can_go_on():
    outcome, _ = relaxed(lambda: PsBackup(0), lambda ctx, made, params: skips_a_step(ctx, made))
    assert isinstance(outcome.errors[1], ProtocolError)
    assert outcome.errors[1].cause == "nobody can go on: worker 0 step 1 came before their step"


@pytest.mark.parametrize("strategy", [PsAsync, PsSsp, PsBackup])
def test_a_worker_that_mixes_up_its_buckets_is_told_without_lockstep_too(strategy):
    def mixed_up(ctx, made, params):
        return two_buckets(ctx, made, order=(1, 0))

    outcome, _ = relaxed(strategy, mixed_up, mixed_up, pieces=HALVES)
    assert isinstance(outcome.errors[2], ProtocolError)
    assert outcome.errors[2].cause.endswith("sent bucket 1, its next is bucket 0")


def test_a_worker_that_finishes_in_the_middle_of_a_step_is_told():
    def unfinished(ctx, made, params):
        return two_buckets(ctx, made, order=(0,), steps=1)

    outcome, _ = relaxed(PsAsync, unfinished, pieces=HALVES)
    assert outcome.errors[1].cause == "worker 0 finished in the middle of a step"


# --- their history ---


CONSISTENCIES = {PsBsp: BSP(), PsSsp: SSP(3), PsAsync: ASP(), PsBackup: Backup(1)}


@every_one
def test_the_history_of_a_server_fits_the_model(strategy, small_segments):
    outcome, events = relaxed(strategy, paced(1.0), paced(1.5), paced(7.0))
    assert outcome.errors == {}
    shard = replay(events, 3, CONSISTENCIES[strategy])
    pushes = [event for event in events if event["event"] == "push"]
    assert len(pushes) == sum(len(trained) for trained, _ in outcome.results[:3])
    assert shard.workers == []


def test_what_a_worker_waited_is_in_the_history():
    _, events = relaxed(lambda: PsSsp(1), paced(1.0), paced(10.0))
    waited = {(each["worker"], each["step"]): each["waited"] for each in events if each["event"] == "push"}
    assert waited[0, 0] == waited[1, 0] == waited[1, 3] == 0
    assert 5.5 < waited[0, 1] < 6.5  # with a second each way, it comes 6 s before the slow worker's first
    assert max(each["staleness"] for each in events if each["event"] == "push") == 1


@every_one
@pytest.mark.parametrize(
    ("key", "value"),
    [("step", 1), ("applied", 7), ("staleness", 2), ("version", 5), ("outcome", "lost"), ("worker", 3)],
)
def test_a_history_that_was_tampered_with_does_not_fit(strategy, key, value):
    _, events = relaxed(strategy, paced(1.0), paced(1.5), paced(7.0))
    with pytest.raises(Refused, match="event 0 of the history does not fit: worker"):
        replay([{**events[0], key: value}, *events[1:]], 3, CONSISTENCIES[strategy])


@every_one
def test_a_history_with_an_event_missing_or_doubled_does_not_fit(strategy):
    _, events = relaxed(strategy, paced(1.0), paced(1.5), paced(7.0))
    for tampered in (events[1:], [events[0], *events]):
        with pytest.raises(Refused, match=r"event \d of the history does not fit"):
            replay(tampered, 3, CONSISTENCIES[strategy])
