"""The sharding changes which server sends what, and no bit of the result."""

import numpy as np
import pytest
from jobs import job, run

from common.pipeline.worker import flat_model
from common.simulate import simulate
from common.testing.checks import check_strategy
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

LAYERS = (64 * 64, 64, 64 * 10, 10)  # weights and biases of the default model
PARAMETERS = sum(LAYERS)
whole = pytest.mark.parametrize("name", ["by-tensor", "hashed"])


def outcome(name, **more):
    return run(job("ps-bsp", workers=2, servers=3, steps=5, **more), make=lambda: PsBsp(name))


@whole
@pytest.mark.parametrize("bucket", [1 << 40, 2000])
def test_sharding_by_whole_tensors_gives_the_bits_of_even_parts(name, bucket):
    assert outcome(name, bucket=bucket).params.tobytes() == outcome("even").params.tobytes()


def test_a_server_owns_the_tensors_that_greedy_balance_assigns():
    steps = 5
    sent = [meter.bytes_sent for meter in outcome("by-tensor").outcome.meters[2:]]
    first = 4 * 2 * (steps + 1)  # bytes of an element that goes to two workers in every step, and before the first
    table = 2 * (8 + 16)  # in which each server says to both how many segments it has, and where each of them is
    assert sent == [first * own + table + more for own, more in zip((4096, 640, 74), (0, 0, 32), strict=True)]


def test_a_context_knows_the_tensors_of_the_model():
    def program(ctx):
        assert ctx.tensors == ()
        flat_model(job("ps-bsp"), ctx)
        return ctx.tensors

    assert simulate(program, 1).results == [LAYERS]


@whole
def test_a_model_of_unknown_tensors_is_one(name):
    check_strategy(lambda: PsBsp(name), workers=(1, 3), servers=(1, 3))


@whole
@pytest.mark.parametrize("make", [PsBsp, PsSsp, PsAsync, PsBackup])
def test_every_consistency_has_the_option_and_promises_only_known_bytes(make, name):
    strategy = make(sharding=name)
    assert strategy.sharding == name
    assert strategy.bytes_sent(2, 2, 3, PARAMETERS) is None
    assert strategy.seconds(2, 3, 4 * PARAMETERS, None) is None


def test_an_unknown_sharding_is_refused():
    with pytest.raises(ValueError, match=r"unknown sharding 'odd': known: by-tensor, even, hashed"):
        PsBsp("odd")


def test_even_is_the_default():
    assert np.array_equal(outcome("even").params, run(job("ps-bsp", workers=2, servers=3, steps=5)).params)
