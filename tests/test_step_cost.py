"""The seconds that an exchange adds to a step of training, compared with the strategy itself in virtual time."""

import numpy as np
import pytest

from common.errors import FINISH, SETUP
from common.runtime.job import COLOCATED, DEDICATED
from common.simulate import simulate
from common.strategy import Bucket, Link
from common.transport.virtual.network import Network
from experiments.config.strategies import create
from experiments.prediction.simulation import FreeOptimizer
from experiments.prediction.step_cost import added_to_a_step, lockstep_seconds
from ps.strategy import PsBsp

LINK = Link(50e-6, 8e-9)
MIB = 1 << 20
STEPS = 4


def added(workers, servers, nbytes, train, segment=MIB):
    """Seconds that a step takes longer than its training in virtual time, all workers' mean, the first left out."""

    def program(ctx):
        strategy = PsBsp(segment=segment)
        params = np.zeros(nbytes // 4, np.float32)
        bucket, ends = Bucket(np.zeros_like(params), params), []
        ctx.place.step = SETUP
        if ctx.rank in ctx.servers:
            strategy.serve(ctx, params, [bucket])
            return None
        strategy.setup(ctx, params)
        for step in range(STEPS):
            ctx.place.step = step
            ctx.sleep(train)
            strategy.synchronize(ctx, bucket)
            ends.append(ctx.now())
        ctx.place.step = FINISH
        strategy.finish(ctx)
        ctx.settle()
        return ends

    network = Network(latency=LINK.alpha, bandwidth=1 / LINK.beta)
    found = simulate(
        program, workers + servers, servers=servers, network=network, optimizer=lambda params: FreeOptimizer()
    )
    ends = np.array([each for each in found.results if each is not None])
    return float(np.diff(ends, axis=1).mean()) - train


@pytest.mark.parametrize("train", [0.0, 0.02])
@pytest.mark.parametrize("nbytes", [668_712, 2 * MIB, 3 * MIB, 5 * MIB])
@pytest.mark.parametrize(("workers", "segment"), [(2, MIB), (4, MIB), (16, MIB), (4, 2 * MIB), (16, MIB // 4)])
def test_one_server_adds_to_a_step_what_the_formula_says(workers, nbytes, segment, train):
    found = added(workers, 1, nbytes, train, segment)
    assert lockstep_seconds(workers, 1, nbytes, LINK, segment) == pytest.approx(found, rel=1e-3)
    strategy = PsBsp(segment=segment)
    assert added_to_a_step(strategy, workers, 1, nbytes, LINK, DEDICATED) == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize(("workers", "servers"), [(4, 1), (4, 4)])
def test_where_segments_are_so_small_that_a_worker_pushes_many_before_it_waits_there_is_none(workers, servers):
    strategy = PsBsp(segment=MIB // 4)
    assert added_to_a_step(strategy, workers, servers, 8 * MIB, LINK, DEDICATED) is None


@pytest.mark.parametrize(("workers", "servers"), [(2, 2), (4, 2), (4, 4), (16, 4)])
@pytest.mark.parametrize("nbytes", [MIB, 8 * MIB])
def test_several_servers_do_within_a_tenth(workers, servers, nbytes):
    found = added(workers, servers, nbytes, 0.02)
    assert lockstep_seconds(workers, servers, nbytes, LINK, MIB) == pytest.approx(found, rel=0.1)


def test_steps_in_turn_are_no_exchanges_that_begin_at_once():
    alone = PsBsp().seconds(16, 1, MIB, LINK)
    assert alone == pytest.approx(32 / 17 * lockstep_seconds(16, 1, MIB, LINK, MIB), rel=0.01)


def test_adding_up_at_the_server_comes_on_top():
    costly = Link(50e-6, 8e-9, 1e-9)
    assert lockstep_seconds(4, 2, MIB, costly, MIB) - lockstep_seconds(4, 2, MIB, LINK, MIB) == pytest.approx(
        2 * MIB * 1e-9
    )


@pytest.mark.parametrize(
    ("name", "options", "workers", "servers", "placement"),
    [
        ("ring", {}, 4, 0, DEDICATED),
        ("ps-async", {}, 4, 1, DEDICATED),
        ("ps-bsp", {"sharding": "hashed"}, 4, 2, DEDICATED),
        ("ps-bsp", {}, 4, 4, COLOCATED),
        ("ps-bsp", {}, 2, 4, DEDICATED),
    ],
)
def test_elsewhere_a_step_has_no_formula_of_its_own(name, options, workers, servers, placement):
    assert added_to_a_step(create(name, options), workers, servers, MIB, LINK, placement) is None


def test_without_staleness_ssp_is_predicted_as_bsp_is():
    found = added_to_a_step(create("ps-ssp", {"staleness": 0}), 4, 1, MIB, LINK, DEDICATED)
    assert found == lockstep_seconds(4, 1, MIB, LINK, MIB)
