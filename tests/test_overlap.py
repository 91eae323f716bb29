"""Overlap: hooks give buckets away in order, gradients stay in place, parameters wait until backward is over."""

import threading
from functools import partial

import numpy as np
import pytest
from jobs import STRATEGIES, job
from small_models import HalfUsed, backward, mlp, pieces_of
from torch import nn
from transports import on

from common.context import Context
from common.models.flat import FlatModel
from common.pipeline.overlap import Overlapped
from common.pipeline.synchronize import AfterBackward, synchronizer
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker, serve
from common.place import Place
from common.records.recorder import StepRecord
from common.records.stage_clock import StageClock
from common.simulate import simulate
from common.strategy import SyncStrategy, Traits
from common.transport.process_endpoint import ProcessEndpoint
from common.transport.virtual.network import Network

SMALL = 1 << 12  # bytes: the models here are several buckets


# --- the same bits, whether overlapped or not ---


def trained(transport, strategy, servers, overlap, **more):
    """Final parameters of each worker, and their records."""
    this = job(strategy, workers=2, servers=servers, steps=4, bucket=SMALL, overlap=overlap, **more)

    def program(ctx):
        made = STRATEGIES[strategy]()
        if ctx.rank in ctx.servers:
            return serve(this, ctx, made)
        worker = Worker(this, ctx, made, StageClock(ctx.now, ctx.place.enter))
        worker.model.params[:] = np.random.default_rng(0).normal(0, 0.05, worker.model.size)
        records: list[StepRecord] = []
        return worker.run(records.append).params.tobytes(), records, worker.model

    results = on(transport, program, 2 + servers, servers=servers, optimizer=partial(FlatOptimizer, this.optimizer))
    return results[:2]


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize(("strategy", "servers"), [("ring", 0), ("tree", 0), ("ps-bsp", 1), ("ps-bsp", 3)])
@pytest.mark.parametrize("transport", ["virtual", "ipc"])
def test_overlap_changes_no_bit(transport, strategy, servers, model):
    more = {"model": model, "hidden": (32, 24)}
    results = [trained(transport, strategy, servers, overlap, **more) for overlap in ("on", "off")]
    assert len({params for result in results for params, *_ in result}) == 1
    assert len(pieces_of(results[0][0][2], SMALL)) >= 3


def test_hidden_seconds_are_part_of_train_and_off_hides_nothing():
    for overlap in ("on", "off"):
        for _, records, _ in trained("ipc", "ring", 0, overlap):
            assert all(0 <= each.hidden_seconds <= each.seconds["train"] for each in records)
            assert overlap == "on" or not any(each.hidden_seconds for each in records)


def test_the_six_stages_still_add_up_to_the_step():
    for _, records, _ in trained("virtual", "ring", 0, "on"):
        assert all(sum(each.seconds.values()) == pytest.approx(each.ended - each.began) for each in records)


def test_no_thread_is_left_behind():
    before = threading.active_count()
    trained("ipc", "ring", 0, "on")
    assert threading.active_count() == before


# --- parameters without a part in backward ---


def test_parameters_without_a_part_in_backward_are_synchronised():
    class Notes(SyncStrategy):
        def synchronize(self, ctx, bucket):
            synchronised.append(bucket.index)

    synchronised = []
    model = FlatModel(HalfUsed())
    overlapped = Overlapped(alone(), Notes(), model, pieces_of(model))
    for _ in range(2):
        with overlapped.backward():
            backward(model)
        overlapped.wait()
    overlapped.close()
    assert synchronised == [0, 1, 2, 3] * 2


# --- parameters that backward still needs ---


class Alone(ProcessEndpoint):
    """An endpoint without peers, in real time."""

    send = lend = settle = recv_into = recv_add = recv_any = has = close = None


def alone(workers=2):
    return Context(Alone(Place(0), 30.0, lambda: None), workers=workers)


class Server(SyncStrategy):
    """Has new parameters at once: all of them 100."""

    traits = Traits(update="server", servers=True)

    def __init__(self):
        self.pulled = threading.Event()

    def synchronize(self, ctx, bucket):
        bucket.params[:] = 100.0
        if bucket.index == 1:
            self.pulled.set()


class LooksBack(nn.Module):
    """The first layer also uses the last one's weight, detached: its gradient is final before its value is."""

    def __init__(self, wait):
        super().__init__()
        self.first, self.last, self.wait = nn.Linear(6, 6), nn.Linear(6, 6), wait

    def forward(self, x):
        h = self.first(x) * self.first(x) @ self.last.weight.detach()
        h.register_hook(lambda grad: self.wait())  # backward is now between the two layers
        return self.last(h)


def test_new_parameters_come_into_the_model_when_backward_is_over_and_not_before():
    strategy, waited = Server(), []
    model = FlatModel(LooksBack(lambda: waited.append(strategy.pulled.wait(30.0))))
    start = np.random.default_rng(0).standard_normal(model.size, np.float32)
    model.params[:] = start
    strategy.pulled.set()
    backward(model)  # nobody writes anything meanwhile
    expected = model.grad.copy()

    strategy.pulled.clear()
    ctx = alone()
    overlapped = Overlapped(ctx, strategy, model, pieces_of(model))
    with overlapped.backward():
        backward(model)
        assert waited == [True] * 2  # the last layer's parameters were there while backward went on
        assert np.array_equal(model.params, start)
    assert overlapped.wait() > 0.0
    overlapped.close()
    assert np.array_equal(model.grad, expected)
    assert (model.params == 100.0).all()


# --- how much is hidden ---


class Slow(SyncStrategy):
    def synchronize(self, ctx, bucket):
        ctx.sleep(2.0)


@pytest.mark.parametrize(("train", "hidden"), [(0.0, 0.0), (3.0, 3.0), (12.0, 12.0), (20.0, 12.0)])
def test_hidden_is_what_ran_before_the_end_of_train(train, hidden):
    def program(ctx):
        model = FlatModel(mlp())
        buckets = Overlapped(ctx, Slow(), model, pieces_of(model))  # six of them
        with buckets.backward():
            backward(model)
            ctx.sleep(train)
        found = buckets.wait()
        buckets.close()
        return found, ctx.now()

    assert simulate(program, 1).results == [(hidden, max(train, 12.0))]


# --- where it is of use ---


@pytest.mark.parametrize(
    ("traits", "size", "nbytes", "overlap", "kind"),
    [
        (Traits(), 2, 4, "on", Overlapped),
        (Traits(), 2, 4, "off", AfterBackward),
        (Traits(), 2, 1 << 20, "on", AfterBackward),  # one bucket
        (Traits(), 1, 4, "on", AfterBackward),  # nobody else
        (Traits(consistency="none"), 2, 4, "on", AfterBackward),
        (Traits(exchanges="parameters"), 2, 4, "on", AfterBackward),
        (Traits(update="server", servers=True), 2, 4, "on", Overlapped),
    ],
)
def test_a_thread_is_started_where_there_is_something_to_hide(traits, size, nbytes, overlap, kind):
    strategy, model = Slow(), FlatModel(mlp())
    strategy.traits = traits
    made = synchronizer(alone(size), strategy, model, pieces_of(model, nbytes), overlap)
    made.close()
    assert type(made) is kind


def test_a_failure_in_train_is_reported_in_stage_train():
    ctx, model = alone(), FlatModel(mlp())
    overlapped = Overlapped(ctx, Server(), model, pieces_of(model))

    def fails():
        with overlapped.backward():
            backward(model)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    overlapped.close()
    assert (ctx.place.stage, ctx.place.bucket) == ("train", 0)


def test_a_peer_gets_the_right_stamp_from_a_worker_whose_train_has_failed_meanwhile():
    """The communicator is at bucket 1 when train fails, and sends afterwards: bucket 1, not 0."""
    model = FlatModel(mlp())

    class SendsLater(SyncStrategy):
        def synchronize(self, ctx, bucket):
            if bucket.index == 1:
                ctx.sleep(2.0)
                ctx.send(1, bucket.grad)

    def train(ctx, overlapped):
        with overlapped.backward():
            backward(model)
            ctx.sleep(1.0)
            raise ZeroDivisionError

    def program(ctx):
        if ctx.rank == 1:
            return ctx.recv_any((0,), np.zeros(30, np.float32)).bucket
        overlapped = Overlapped(ctx, SendsLater(), model, pieces_of(model))
        with pytest.raises(ZeroDivisionError):
            train(ctx, overlapped)
        ctx.sleep(2.0)
        overlapped.close()
        return ctx.place.stage, ctx.place.bucket

    assert simulate(program, 2).results == [("train", 0), 1]


def test_virtual_ranks_with_overlap_keep_their_own_order():
    network = Network(latency=1e-3, jitter=0.1, seed=3)
    this = job("ring", workers=3, steps=3, bucket=SMALL)

    def program(ctx):
        return Worker(this, ctx, STRATEGIES["ring"](), StageClock(ctx.now)).run(lambda record: None).params_sha256

    runs = [simulate(program, 3, network=net).results for net in (network, Network())]
    assert len({sha for run in runs for sha in run}) == 1
