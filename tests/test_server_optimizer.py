"""A server's updates make records of steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from common.pipeline.update import FlatOptimizer
from common.place import Place
from common.records.stage_clock import StageClock
from common.runtime.job import OptimizerSpec
from experiments.ranks.server_optimizer import TimedUpdates


@pytest.fixture
def server():
    """A server with two segments, of 3 and 2 parameters, on a clock that goes on by a second a look."""
    seconds, place = iter(range(1000)), Place(2, "server")
    this = SimpleNamespace(records=[], resets=0, place=place)

    def reset():
        this.resets += 1

    meter = SimpleNamespace(now=lambda: float(next(seconds)), reset=reset, place=place)
    this.updates = TimedUpdates(meter, StageClock(meter.now, place.enter), this.records.append)
    spec = OptimizerSpec("sgd", 0.5, 0.9)
    this.params = [np.zeros(3, np.float32), np.zeros(2, np.float32)]
    this.optimizers = [this.updates.expect(FlatOptimizer(spec, params)) for params in this.params]
    return this


def step(server, number):
    for optimizer, params in zip(server.optimizers, server.params, strict=True):
        server.place.step = number
        optimizer.step(np.ones_like(params), number)


def test_a_record_is_as_many_updates_as_there_are_segments(server):
    for number in range(3):
        step(server, number)
    assert [record.step for record in server.records] == [0, 1, 2]
    assert server.updates.done == 6
    assert all((record.rank, record.role) == (2, "server") for record in server.records)


def test_a_record_begins_where_the_last_one_ended_and_its_time_is_waiting_or_updating(server):
    for number in range(3):
        step(server, number)
    first, *others = server.records
    assert [record.began for record in others] == [record.ended for record in [first, *others][:-1]]
    for record in server.records:
        assert record.seconds["update"] > 0
        assert record.seconds["synchronize"] + record.seconds["update"] == record.ended - record.began


def test_counts_from_before_the_first_update_are_reset_once(server):
    assert server.resets == 0
    step(server, 0)
    step(server, 1)
    assert server.resets == 1


def test_a_server_reports_how_many_parameters_it_holds(server):
    step(server, 0)
    assert server.updates.held() == {"parameters": 5, "optimizer_state_bytes": 4 * 5}  # momentum is a copy
