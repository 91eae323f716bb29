"""Stage 6 is torch.optim, wherever it happens: on the whole model or on a server's shard of it."""

import copy

import numpy as np
import pytest
import torch

from common.models import build
from common.models.flat import FlatModel
from common.pipeline import update
from common.pipeline.update import FlatOptimizer
from common.runtime.job import OptimizerSpec
from ps.sharding import even

SPECS = [
    OptimizerSpec("sgd", lr=0.1, momentum=0.0),
    OptimizerSpec("sgd", lr=0.05, momentum=0.9),
    OptimizerSpec("adam", lr=0.01),
]
every_spec = pytest.mark.parametrize("spec", SPECS, ids=["sgd", "momentum", "adam"])
STEPS = 20


def gradients(size):
    """A gradient for each step, float32 of shape (size,)."""
    return np.random.default_rng(0).standard_normal((STEPS, size), np.float32)


def plain_optimizer(spec, tensors):
    """The optimizer that a torch program would use."""
    if spec.name == "adam":
        return torch.optim.Adam(tensors, lr=spec.lr)
    return torch.optim.SGD(tensors, lr=spec.lr, momentum=spec.momentum)


@every_spec
def test_it_updates_as_torch_does_without_flat_vectors(spec):
    module = build("mlp", (1, 4, 4), 5, (8,), seed=0)
    plain, model = copy.deepcopy(module), FlatModel(module)
    reference, optimizer = plain_optimizer(spec, plain.parameters()), FlatOptimizer(spec, model.params)
    for grad in gradients(model.size):
        optimizer.step(grad)
        offset = 0
        for tensor in plain.parameters():
            piece = grad[offset : offset + tensor.numel()]
            tensor.grad = torch.from_numpy(piece.copy()).view(tensor.shape)
            offset += tensor.numel()
        reference.step()
        expected = torch.cat([tensor.detach().reshape(-1) for tensor in plain.parameters()]).numpy()
        np.testing.assert_allclose(model.params, expected, rtol=1e-5, atol=1e-6)


@every_spec
@pytest.mark.parametrize("servers", [1, 2, 3, 7])
def test_the_shards_updated_apart_are_the_whole_updated_at_once(spec, servers):
    size = 101
    whole = np.random.default_rng(1).standard_normal(size, np.float32)
    shards = [whole[piece].copy() for piece in even(size, servers)]
    at_once, apart = FlatOptimizer(spec, whole), [FlatOptimizer(spec, shard) for shard in shards]
    for grad in gradients(size):
        at_once.step(grad)
        for optimizer, piece in zip(apart, even(size, servers), strict=True):
            optimizer.step(grad[piece])
        assert np.array_equal(np.concatenate(shards), whole)


@every_spec
@pytest.mark.parametrize("block", [1, 16, 33, 1000])
def test_blocks_make_no_difference_to_the_parameters_or_to_the_state(spec, block, monkeypatch):
    size = 101
    whole = np.random.default_rng(1).standard_normal(size, np.float32)
    blocks = whole.copy()
    reference = FlatOptimizer(spec, whole)
    monkeypatch.setattr(update, "BLOCK", block)
    optimizer = FlatOptimizer(spec, blocks)
    for half in np.split(gradients(size), 2):
        for grad in half:
            reference.step(grad)
            optimizer.step(grad)
        assert np.array_equal(blocks, whole)
        assert optimizer.state_bytes == reference.state_bytes
        state, expected = optimizer.state(), reference.state()
        assert {name: value.tolist() for name, value in state.items()} == {
            name: value.tolist() for name, value in expected.items()
        }
        optimizer.restore(state)


@pytest.mark.parametrize(
    ("spec", "copies", "more"),
    [
        (OptimizerSpec("sgd", lr=0.1, momentum=0.0), 0, 0),
        (OptimizerSpec("sgd", lr=0.1, momentum=0.9), 1, 0),
        (OptimizerSpec("adam", lr=0.1), 2, 4),  # two means and the number of steps
    ],
)
def test_the_state_beside_the_parameters_is_counted_in_bytes(spec, copies, more):
    optimizer = FlatOptimizer(spec, np.zeros(7, np.float32))
    assert optimizer.state_bytes == 0
    for _ in range(2):
        optimizer.step(np.ones(7, np.float32))
        assert optimizer.state_bytes == 4 * 7 * copies + more
    assert optimizer.size == 7


def test_plain_sgd_takes_the_learning_rate_times_the_gradient():
    params = np.array([1.0, 2.0, 3.0], np.float32)
    FlatOptimizer(OptimizerSpec("sgd", lr=0.5, momentum=0.0), params).step(np.array([2.0, 0.0, -4.0], np.float32))
    assert params.tolist() == [0.0, 2.0, 5.0]


def test_momentum_adds_up_over_the_steps():
    params = np.zeros(1, np.float32)
    optimizer = FlatOptimizer(OptimizerSpec("sgd", lr=1.0, momentum=0.5), params)
    seen = []
    for _ in range(3):
        optimizer.step(np.ones(1, np.float32))
        seen.append(params.item())
    assert seen == [-1.0, -2.5, -4.25]


@every_spec
def test_the_parameters_change_in_place_and_the_gradient_does_not(spec):
    params, grad = np.ones(5, np.float32), np.full(5, 2.0, np.float32)
    optimizer, memory = FlatOptimizer(spec, params), params.ctypes.data
    for _ in range(2):
        before = params.copy()
        optimizer.step(grad)
        assert (params < before).all()
    assert params.ctypes.data == memory
    assert (grad == 2.0).all()


@every_spec
def test_each_step_takes_the_gradient_it_is_given_not_an_earlier_one(spec):
    one, other = np.ones(3, np.float32), np.ones(3, np.float32)
    optimizer, reference = FlatOptimizer(spec, one), FlatOptimizer(spec, other)
    reused = np.empty(3, np.float32)
    for number in range(4):
        reused[:] = number
        optimizer.step(reused)
        reference.step(np.full(3, number, np.float32))
        reused[:] = np.nan
    assert np.array_equal(one, other)


@every_spec
def test_a_shard_without_parameters_can_be_updated(spec):
    params = np.zeros(0, np.float32)
    optimizer = FlatOptimizer(spec, params)
    for _ in range(2):
        optimizer.step(np.zeros(0, np.float32))
    assert params.size == 0


@every_spec
def test_parameters_written_between_steps_are_used(spec):
    params = np.ones(3, np.float32)
    optimizer = FlatOptimizer(spec, params)
    params[:] = 100.0
    optimizer.step(np.ones(3, np.float32))
    assert (params > 99.0).all()


@every_spec
@pytest.mark.parametrize("before", [0, 1, 7])
def test_an_optimizer_restored_goes_on_bit_for_bit_and_shares_no_memory(spec, before):
    size = 33
    params = np.random.default_rng(1).standard_normal(size, np.float32)
    first = FlatOptimizer(spec, params)
    for grad in gradients(size)[:before]:
        first.step(grad)
    state, copied = first.state(), params.copy()
    second = FlatOptimizer(spec, copied)
    second.step(np.ones(size, np.float32))  # a state of its own, to be replaced
    copied[:] = params
    second.restore(state)
    for grad in gradients(size)[before:]:
        first.step(grad)
        second.step(grad)
        assert params.tobytes() == copied.tobytes()
    assert {name: value.tobytes() for name, value in first.state().items()} == {
        name: value.tobytes() for name, value in second.state().items()
    }
