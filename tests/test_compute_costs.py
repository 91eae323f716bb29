"""The costs of computing in virtual time: how clocks charge them, and when they are measured."""

from dataclasses import replace

import numpy as np
import pytest

from common.data import load
from common.records.stage_clock import STAGES
from common.runtime.job import Job, OptimizerSpec
from common.simulate import simulate
from common.strategy import Traits
from common.types import Rows
from experiments.ranks.compute_costs import CostlyClock, CostlyOptimizer, Costs, costs_of

PRICES = {"preprocess": 1.0, "partition": 2.0, "load": 4.0, "train": 8.0, "synchronize": 0.0, "update": 16.0}
RULE = OptimizerSpec("sgd", momentum=0.0)


def timed(program):
    """What `program(ctx, clock)` has on its watch afterwards, in virtual time."""

    def life(ctx):
        clock = CostlyClock(ctx.now, ctx.place.enter, ctx.sleep, PRICES)
        program(ctx, clock)
        return clock.take()

    return simulate(life, 1).results[0]


def test_leaving_a_stage_takes_its_cost_and_that_of_the_stages_inside_it():
    def step(ctx, clock):
        with clock("load"):
            with clock("partition"):
                pass
            with clock("preprocess"):
                pass
        with clock("update"):
            pass

    assert timed(step) == {**PRICES, "train": 0.0}


def test_stages_4_and_5_cost_nothing_beyond_their_own_time():
    def step(ctx, clock):
        with clock("train"):
            ctx.sleep(3.0)
        with clock("synchronize"):
            ctx.sleep(5.0)

    assert timed(step) == {**dict.fromkeys(STAGES, 0.0), "train": 3.0, "synchronize": 5.0}


def test_a_stage_that_failed_costs_nothing():
    def step(ctx, clock):
        with pytest.raises(OSError, match="planted"), clock("load"):
            raise OSError("planted")

    assert timed(step)["load"] == 0.0


def test_others_run_meanwhile():
    def life(ctx):
        clock = CostlyClock(ctx.now, ctx.place.enter, ctx.sleep, PRICES)
        with clock("update"):
            pass
        return ctx.now()

    assert simulate(life, 3).results == [16.0] * 3


JOB = Job("ring", workers=2, servers=0, batch=32, steps=20)


def test_with_train_seconds_only_training_takes_time():
    costs = costs_of(replace(JOB, train_seconds=0.25), Traits(), load("digits"))
    assert costs == Costs({**dict.fromkeys(STAGES, 0.0), "train": 0.25})
    assert (costs.update(RULE, 100), costs.row_update(RULE, 4)) == (0.0, 0.0)


def test_without_train_seconds_every_stage_of_a_worker_is_measured():
    at_worker, at_server = (costs_of(JOB, Traits(update=where), load("digits")) for where in ("worker", "server"))
    for stage in ("preprocess", "partition", "load", "train", "update"):
        assert at_worker.stages[stage] > 0
    assert at_worker.reduce > 0
    assert (at_worker.stages["synchronize"], at_server.stages["update"]) == (0.0, 0.0)


def test_an_update_of_a_size_is_measured_once():
    costs = Costs(PRICES, measured=True)
    assert costs.update(RULE, 1000) == costs.update(RULE, 1000) > 0
    assert costs.row_update(RULE, 8) == costs.row_update(RULE, 8) > 0


def test_a_servers_update_changes_the_parameters_and_takes_its_time():
    costs = Costs(PRICES, measured=True, _updates={(RULE, 8): 2.0}, _rows={(RULE, 4): 0.5})

    def life(ctx):
        params = np.ones(8, np.float32)
        rule = CostlyOptimizer(RULE, params, ctx.sleep, costs)
        rule.step(np.ones(8, np.float32))
        dense = ctx.now()
        rule.step_rows(Rows(4, np.array([1]), np.ones((1, 4), np.float32)))
        return dense, ctx.now(), params.tolist()

    lower, twice = np.float32(1) - np.float32(0.1), np.float32(1) - np.float32(0.1) - np.float32(0.1)
    assert simulate(life, 1).results[0] == (2.0, 2.5, [pytest.approx(x) for x in [lower] * 4 + [twice] * 4])
