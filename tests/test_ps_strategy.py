"""The parameter server as a strategy: its results, its options, its bytes and seconds."""

from functools import partial
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import every_one, serve

from common.errors import FINISH, ConfigError
from common.simulate import simulate
from common.strategy import Bucket, Link
from common.testing.checks import check_strategy
from common.testing.trial import SGD, Trial, rough_gradient, whole_gradient
from common.transport.virtual.network import Network
from ps import segments
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp


def run(workers, servers, size, *, make=PsBsp, steps=3, gradient=whole_gradient, **more):
    """Return each worker's parameters after setup, every step and finish: (workers, steps + 2, size) float32."""
    trial = Trial(make, workers, servers, size, SGD, gradient, steps=steps, **more)
    return np.stack(trial.run().results[:workers])[:, :, 1]


# --- what it computes ---


@pytest.mark.parametrize("workers", range(1, 6))
@pytest.mark.parametrize("servers", [1, 2, 5])
def test_the_parameter_server_keeps_its_promises(workers, servers):
    check_strategy(PsBsp, workers=(workers,), servers=(servers,))


@every_one
def test_the_promises_hold_with_many_segments(strategy):
    check_strategy(partial(strategy, segment=4 * 7), workers=(3,), servers=(1, 2), sizes=(50,))


@pytest.mark.parametrize("size", [0, 1, 3])
def test_the_promises_hold_with_more_servers_than_parameters(size):
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
def test_one_worker_alone_has_the_same_bits_under_every_consistency(strategy):
    alone = run(1, 2, 30, gradient=rough_gradient, make=strategy)
    assert alone.tobytes() == run(1, 2, 30, gradient=rough_gradient).tobytes()


def test_a_thousand_orders_of_arrival_give_one_result():
    results = set()
    for seed in range(1000):
        network = Network(latency=1e-3, jitter=0.02, seed=seed)
        results.add(run(3, 1, 5, steps=2, gradient=rough_gradient, network=network).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize(("servers", "most"), [(1, 15), (2, 25)])
def test_a_worker_is_never_far_ahead_of_the_answers(servers, most, monkeypatch):
    """At most 10 elements a server and one segment of 5 more are under way."""
    monkeypatch.setattr(segments, "AHEAD", 4 * 10)

    def program(ctx):
        strategy, under_way = PsBsp(segment=4 * 5 + 3), []
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
def test_workers_never_wait_in_a_circle_however_few_elements_are_sent_ahead(strategy, workers, servers, seed):
    if strategy is PsBackup and workers == 1:
        return
    network = Network(latency=1e-3, jitter=0.02, seed=seed)
    far = run(workers, servers, 40, gradient=rough_gradient)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segments, "AHEAD", 4)
        make = partial(strategy, segment=4 * 5)
        near = run(workers, servers, 40, gradient=rough_gradient, network=network, make=make)
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
        (lambda: PsBsp(segment=3), "--strategy.segment is 3: give a size from 4 bytes, like 65536, 64KiB or 1MiB"),
        (lambda: PsAsync(segment=0), "--strategy.segment is 0: give a size from 4 bytes, like 65536, 64KiB or 1MiB"),
        (
            lambda: PsBackup(segment="1TiB"),
            "--strategy.segment is '1TiB': give a size from 4 bytes, like 65536, 64KiB or 1MiB",
        ),
        (
            lambda: PsSsp(segment=True),
            "--strategy.segment is True: give a size from 4 bytes, like 65536, 64KiB or 1MiB",
        ),
        (lambda: PsBsp(segment=-1), "--strategy.segment is -1: give a size from 4 bytes, like 65536, 64KiB or 1MiB"),
        (lambda: PsAsync("linear"), "--strategy.damping is 'linear': give none or inverse"),
        (lambda: PsBackup(3).check(3), "--strategy.backups is 3 of 3 workers: give fewer than workers"),
    ],
)
def test_an_impossible_option_is_refused_in_one_line(make, complaint):
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


def test_smaller_segments_leave_less_of_the_pipeline_idle():
    link = Link(alpha=0.5, beta=1.0)
    assert PsBsp(segment=40).seconds(4, 1, 400, link) == pytest.approx(2 * 0.5 + (1 + 1 / 10) * 4 * 400)


def test_a_segment_may_have_a_unit():
    assert [PsBsp(segment=each).segment for each in (4096, "4096", "4KiB", "4 kb")] == [4096, 4096, 4096, 4000]
