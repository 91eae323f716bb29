"""Whole jobs: every synchronous strategy trains the same model on the same samples as one process would."""

import functools
import hashlib
import itertools

import numpy as np
import planted
import pytest
from jobs import ADAM, MOMENTUM, job, run

from allreduce.noop import Single
from common.context import Context
from common.data import load
from common.errors import FINISH, SETUP, PeerFailed, RunError
from common.pipeline.preprocess import Normalise
from common.pipeline.train import accuracy
from common.pipeline.worker import Worker, flat_model
from common.records.stage_clock import STAGES, StageClock
from common.runtime.job import Job, OptimizerSpec
from common.simulate import simulate
from common.transport.virtual.network import Kill, Network
from ps.strategy import PsBsp

SYNCHRONOUS = [("star", 0), ("ring", 0), ("tree", 0), ("ps-bsp", 1), ("ps-bsp", 3)]
every_synchronous = pytest.mark.parametrize(("strategy", "servers"), SYNCHRONOUS)


@functools.cache
def trained(strategy, servers=0, **more):
    """A job that was run, once for all tests that only look at it."""
    return run(job(strategy, servers=servers, **more))


def deviation(a, b):
    """‖a−b‖₂/‖b‖₂."""
    return np.linalg.norm(a.astype(float) - b) / np.linalg.norm(b.astype(float))


# --- the same thing, whatever the strategy ---


@every_synchronous
@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAM], ids=["momentum", "adam"])
def test_a_synchronous_strategy_trains_the_model_that_one_process_would(strategy, servers, optimizer):
    one = trained("single", optimizer=optimizer)
    many = trained(strategy, servers, optimizer=optimizer)
    assert deviation(many.params, one.params) < 1e-4
    np.testing.assert_allclose(many.losses, one.losses, rtol=1e-3, atol=1e-4)


@every_synchronous
def test_all_workers_end_with_the_same_bits(strategy, servers):
    replicas = {each.params.tobytes() for each in trained(strategy, servers).trained}
    assert len(replicas) == 1


@every_synchronous
def test_the_same_job_gives_the_same_bits_twice(strategy, servers):
    again = run(job(strategy, servers=servers))
    assert again.params.tobytes() == trained(strategy, servers).params.tobytes()
    assert again.ledger == trained(strategy, servers).ledger


@every_synchronous
def test_the_order_of_arrival_changes_no_bit(strategy, servers):
    jittery = run(job(strategy, servers=servers), network=Network(latency=1e-3, jitter=0.1, seed=5))
    assert jittery.params.tobytes() == trained(strategy, servers).params.tobytes()


def test_the_number_of_servers_changes_no_bit():
    assert trained("ps-bsp", 1).params.tobytes() == trained("ps-bsp", 3).params.tobytes()


def test_a_server_that_adds_in_rank_order_gives_the_bits_of_the_star():
    assert trained("ps-bsp", 1).params.tobytes() == trained("star").params.tobytes()


@pytest.mark.parametrize(("strategy", "servers"), [*SYNCHRONOUS, ("noop", 0)])
def test_every_strategy_trains_on_the_same_samples(strategy, servers):
    assert trained(strategy, servers).ledger == trained("single").ledger


def test_other_workers_or_another_seed_are_another_ledger():
    ledgers = {run(job("single", steps=2, workers=workers, seed=seed)).ledger for workers in (2, 3) for seed in (0, 1)}
    assert len(ledgers) == 4


def test_without_synchronisation_the_replicas_drift_apart():
    assert len({each.params_sha256 for each in trained("noop").trained}) == 3
    assert deviation(trained("noop").params, trained("single").params) > 1e-2


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize(("strategy", "servers"), [("ring", 0), ("tree", 0), ("ps-bsp", 2)])
def test_any_number_of_workers_trains_the_model_that_one_process_would(strategy, servers, workers):
    one, many = (
        run(job(name, workers=workers, servers=s, steps=10)) for name, s in (("single", 0), (strategy, servers))
    )
    assert deviation(many.params, one.params) < 1e-4
    assert many.ledger == one.ledger


@every_synchronous
def test_the_loss_falls_and_the_digits_are_learned(strategy, servers):
    result = trained(strategy, servers)
    assert result.losses[0] == pytest.approx(np.log(10), abs=0.3)
    assert result.losses[-10:].mean() < 0.3 * result.losses[0]
    assert result.trained[0].test_accuracy > 0.85


def test_a_convolutional_network_trains_alike():
    one, many = (run(job(name, model="cnn", steps=5, workers=2)) for name in ("single", "ring"))
    assert deviation(many.params, one.params) < 1e-4


def test_parameters_are_exchanged_after_the_update_where_that_is_promised():
    plain = OptimizerSpec("sgd", lr=0.1, momentum=0.0)  # the mean of updates is then the update of means
    averaged = run(job("", steps=10, optimizer=plain), make=planted.AveragesParameters)
    assert deviation(averaged.params, run(job("single", steps=10, optimizer=plain)).params) < 1e-4


# --- servers that do not wait for everybody ---

RELAXED = ["ps-ssp", "ps-async", "ps-backup"]


@functools.cache
def beside_a_slow_worker(strategy, **more):
    """A job in which worker 2 takes five times as long as the others."""

    def entered(ctx, stage):
        if stage == "train":
            ctx.sleep(0.05 if ctx.rank == 2 else 0.01)

    return run(job(strategy, servers=2, **more), network=Network(latency=1e-4), entered=entered)


@pytest.mark.parametrize("strategy", RELAXED)
def test_all_workers_end_alike_and_have_drawn_the_same_samples(strategy):
    result = beside_a_slow_worker(strategy)
    assert len({each.params_sha256 for each in result.trained}) == 1
    assert result.ledger == trained("single").ledger
    assert result.trained[0].test_accuracy > 0.8


@pytest.mark.parametrize("overlap", ["on", "off"])
@pytest.mark.parametrize("strategy", ["ps-ssp", "ps-async"])
def test_one_worker_has_the_parameters_of_a_single_process(strategy, overlap):
    one = run(job(strategy, workers=1, servers=1, overlap=overlap, bucket=4096))
    assert one.params.tobytes() == run(job("single", workers=1)).params.tobytes()


@pytest.mark.parametrize("overlap", ["on", "off"])
def test_a_worker_that_is_too_late_draws_its_samples_and_does_not_train_on_them(overlap):
    fast, _, slow = beside_a_slow_worker("ps-backup", overlap=overlap, bucket=4096).records
    assert [record.step for record in slow] == list(range(50))
    skipped = [record for record in slow if record.skipped]
    assert 25 < len(skipped) < 50
    assert not any(record.skipped for record in fast)
    for record in slow:
        assert len(record.samples) == 1
        assert (record.loss is None) == record.skipped
        assert (record.ended - record.began > 0.04) == (not record.skipped)


def test_a_slow_worker_holds_up_bulk_synchronous_training_and_no_other():
    seconds = {strategy: beside_a_slow_worker(strategy).records[0][-1].ended for strategy in ["ps-bsp", *RELAXED]}
    assert seconds["ps-bsp"] > 50 * 0.05
    assert seconds["ps-ssp"] > 46 * 0.05
    assert max(seconds["ps-async"], seconds["ps-backup"]) < 50 * 0.02


# --- the loop ---


def stages_of(strategy, **more):
    """Every stage that worker 0 enters, step by step."""
    steps = {}

    def entered(ctx, stage):
        if ctx.rank == 0:
            steps.setdefault(ctx.place.step, []).append(stage)

    run(job("ring", steps=3, workers=2, **more), make=strategy, entered=entered)
    return steps


LOADING = ["load", "partition", "load", "preprocess", "load"]


def test_each_step_goes_through_the_six_stages_in_order():
    steps = stages_of(None)
    assert steps.pop(SETUP) == ["preprocess", "partition"]
    assert steps == {step: [*LOADING, "train", "synchronize", "update"] for step in range(3)}


def test_each_step_updates_before_it_exchanges_parameters():
    assert stages_of(planted.AveragesParameters)[1] == [*LOADING, "train", "update", "synchronize"]


def test_every_step_is_recorded_as_it_ends_with_its_times():
    result = run(job("ring", steps=4), network=Network(latency=0.5))
    for rank, records in enumerate(result.records):
        assert [(each.step, each.role, each.rank) for each in records] == [(step, "worker", rank) for step in range(4)]
        for each in records:
            assert each.seconds == {**dict.fromkeys(STAGES, 0.0), "synchronize": each.ended - each.began}
            assert each.ended > each.began
            assert len(each.samples) == 1


def test_one_process_records_the_samples_of_all_workers():
    (records,) = trained("single").records
    assert [len(each.samples) for each in records] == [3] * 50


def test_a_worker_is_ready_when_all_are_and_before_it_has_trained():
    class SlowStart(planted.PlantedSum):
        def setup(self, ctx, params):
            super().setup(ctx, params)
            ctx.sleep(float(ctx.rank))

    seen = []
    run(job("", steps=2), make=SlowStart, ready=lambda ctx: seen.append((ctx.rank, ctx.place.step, ctx.now())))
    assert sorted(seen) == [(rank, SETUP, 2.0) for rank in range(3)]


def test_seconds_before_the_first_step_belong_to_no_step():
    def program(ctx):
        clock = StageClock(itertools.count().__next__)  # each look at it takes a second
        Worker(job("single", steps=3), ctx, Single(), clock).run(records.append)

    records = []
    simulate(program, 1)
    first, *others = [each.seconds for each in records]
    assert others == [first] * 2
    assert min(first.values()) > 0


def test_worker_0_alone_measures_accuracy_and_all_hash_their_parameters():
    result = trained("ring")
    assert [each.test_accuracy is None for each in result.trained] == [False, True, True]
    for each in result.trained:
        assert each.params_sha256 == hashlib.sha256(each.params.tobytes()).hexdigest()


def test_the_accuracy_is_that_of_the_final_parameters_on_the_test_samples():
    result, data = trained("ring"), load("digits")
    model = simulate(lambda ctx: flat_model(job("ring"), ctx), 1).results[0]
    model.params[:] = result.params
    inputs = Normalise.fit(data.train_x)(data.test_x)
    assert accuracy(model, inputs, data.test_y) == result.trained[0].test_accuracy


def test_at_the_end_a_worker_is_in_finish():
    def program(ctx: Context):
        this = job("star", steps=1, workers=2)
        Worker(this, ctx, planted.PlantedSum(), StageClock(ctx.now, ctx.place.enter)).run(lambda record: None)
        return ctx.place.step, ctx.place.stage

    assert simulate(program, 2).results == [(FINISH, "finish")] * 2


# --- what goes wrong ---


@pytest.mark.parametrize("strategy", ["single", "ring"])
def test_training_that_diverges_says_where_and_suggests_a_smaller_learning_rate(strategy):
    wild = OptimizerSpec("sgd", lr=1e25, momentum=0.0)
    with pytest.raises(RunError, match=r"the loss is (nan|inf): training diverged; try a .* below 1e\+25") as caught:
        run(job(strategy, optimizer=wild))
    assert type(caught.value) is RunError
    assert caught.value.stage == "train"
    assert 0 < caught.value.step < 50


@pytest.mark.parametrize("culprit", range(4))
def test_when_a_rank_dies_every_other_ends_with_its_name(culprit):
    this = job("ps-bsp", workers=3, servers=1, steps=20)
    whole = run(this, network=Network(latency=0.5)).outcome.seconds
    result = run(this, network=Network(latency=0.5), faults=[Kill(culprit, at=whole / 2)], check=False)
    assert set(result.outcome.errors) == {0, 1, 2, 3}
    for error in result.outcome.errors.values():
        assert isinstance(error, PeerFailed)
        assert error.rank == culprit
        assert 0 < error.step < 20


def test_a_batch_that_no_worker_can_fill_is_refused_before_anything_is_sent():
    with pytest.raises(ValueError, match="a batch of 1000 samples a worker, but a worker has only 718"):
        run(Job("ring", 2, 0, batch=2000, steps=1))


def test_the_servers_own_the_update():
    def program(ctx):
        worker = Worker(job("ps-bsp", servers=1), ctx, PsBsp(), StageClock(ctx.now))
        return worker.optimizer

    assert simulate(program, 1).results == [None]
