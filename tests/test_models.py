"""Models have the layers that were asked for, the same first bits everywhere, and live in two flat vectors."""

import copy
import itertools
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transports import in_threads

from common.models import MODELS, TABLES, TEXTS, build
from common.models.flat import FlatModel

SHAPE, CLASSES, ROWS = (1, 8, 8), 10, 40
POSITIONS = 7  # of a text
every_model = pytest.mark.parametrize("name", sorted(MODELS))


def module_named(name, seed=0, hidden=(16,)):
    return build(name, (POSITIONS,) if name in TEXTS else SHAPE, CLASSES, hidden, seed, ROWS)


def flat(name="mlp", hidden=(16,), seed=0, **more):
    return FlatModel(module_named(name, seed, hidden), **more)


def inputs(name="mlp", n=5):
    random = torch.Generator().manual_seed(1)
    if name in TABLES:
        return torch.randint(0, ROWS, (n, 3), generator=random)
    if name in TEXTS:
        return torch.randint(0, CLASSES, (n, POSITIONS), generator=random)
    return torch.rand(n, *SHAPE, generator=random)


# --- models by name ---


@pytest.mark.parametrize("name", sorted(set(MODELS) - TEXTS))
@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 10), ((3, 9, 7), 4)])
def test_a_model_gives_one_logit_for_each_class(name, shape, classes):
    model = build(name, shape, classes, (16,), 0, ROWS)
    samples = inputs(name) if name in TABLES else torch.zeros(5, *shape)
    assert model(samples).shape == (5, classes)


@pytest.mark.parametrize("hidden", [(), (64,), (32, 16), (8, 8, 8)])
def test_the_hidden_layers_of_the_mlp_are_those_asked_for(hidden):
    sizes = [math.prod(SHAPE), *hidden, CLASSES]
    linear = [layer for layer in build("mlp", SHAPE, CLASSES, hidden, 0) if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == list(itertools.pairwise(sizes))
    assert flat(hidden=hidden).size == sum((a + 1) * b for a, b in itertools.pairwise(sizes))


def test_without_relu_between_them_layers_would_be_one():
    kinds = [type(layer) for layer in build("mlp", SHAPE, CLASSES, (8, 4), 0)]
    assert kinds == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_the_size_of_the_cnn_follows_from_its_layers():
    convolutions = 16 * (9 + 1) + 32 * (16 * 9 + 1)
    hidden, logits = 24 * (32 * 4 * 4 + 1), CLASSES * (24 + 1)
    assert flat("cnn", hidden=(24,)).size == convolutions + hidden + logits


def test_the_table_of_the_embedding_has_a_row_for_each_id_and_lies_first():
    model = build("embedding", (3,), 2, (8, 5, 4), 0, ROWS)
    sizes = [tuple(each.shape) for each in model.parameters()]
    assert sizes == [(ROWS, 8), (5, 8), (5,), (4, 5), (4,), (2, 4), (2,)]
    assert model.table.weight.std().item() == pytest.approx(8**-0.5, rel=0.2)


def test_a_sample_is_the_sum_of_its_rows_whatever_their_order():
    model = build("embedding", (3,), 2, (8,), 0, ROWS)
    expected = model.top(model.table.weight[[7, 0, 7]].sum(0))
    assert torch.allclose(model(torch.tensor([[0, 7, 7]])), expected, atol=1e-6)


def test_a_model_of_texts_gives_one_logit_for_each_class_at_each_position():
    assert module_named("transformer")(inputs("transformer")).shape == (5, CLASSES, POSITIONS)


def test_the_logits_of_a_position_depend_on_no_later_position():
    model, text = module_named("transformer"), inputs("transformer")
    for position in range(POSITIONS):
        changed = text.clone()
        changed[:, position] = (text[:, position] + 1) % CLASSES
        differs = (model(changed) != model(text)).any(1).any(0).tolist()
        assert differs == [each >= position for each in range(POSITIONS)]


def test_hidden_gives_the_transformers_width_and_its_layers():
    width, inner = 8, (5, 6, 7)
    attention = 3 * width * (width + 1) + width * (width + 1) + 2 * 2 * width
    layers = sum(attention + each * (width + 1) + width * (each + 1) for each in inner)
    rest = (CLASSES + POSITIONS) * width + 2 * width + CLASSES * (width + 1)
    assert flat("transformer", (width, *inner)).size == layers + rest
    assert flat("transformer", (width,)).size == flat("transformer", (width, 4 * width, 4 * width)).size


@pytest.mark.parametrize(("hidden", "side"), [((8,), 8), ((8, 16), 4), ((8, 12, 16), 2)])
def test_each_stage_of_the_resnet_but_the_first_halves_the_image(hidden, side):
    model = module_named("resnet", hidden=hidden)
    pooled = next(number for number, layer in enumerate(model) if isinstance(layer, nn.AdaptiveAvgPool2d))
    assert model[:pooled](inputs("resnet")).shape == (5, hidden[-1], side, side)


@every_model
def test_a_model_has_nothing_that_a_strategy_would_not_synchronise(name):
    assert list(module_named(name).buffers()) == []


@every_model
def test_the_logits_of_a_sample_depend_on_no_other_sample_of_the_batch(name):
    model, samples = module_named(name), inputs(name)
    assert torch.allclose(model(samples)[1:2], model(samples[1:2]), atol=1e-5)


@every_model
def test_the_same_seed_gives_the_same_bits_and_another_gives_others(name):
    one, same, other = flat(name, seed=5), flat(name, seed=5), flat(name, seed=6)
    assert one.params.tobytes() == same.params.tobytes()
    assert one.params.tobytes() != other.params.tobytes()


@every_model
def test_building_neither_takes_nor_gives_random_numbers(name):
    before = torch.get_rng_state()
    first = flat(name).params.tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert flat(name).params.tobytes() == first


# --- flat views ---


@every_model
def test_flattening_keeps_every_value_in_the_order_of_the_parameters(name):
    module = module_named(name)
    before = copy.deepcopy(module)
    model = FlatModel(module)
    expected = torch.cat([tensor.detach().reshape(-1) for tensor in before.parameters()])
    assert model.module is module
    assert model.size == expected.numel()
    assert model.params.tolist() == expected.tolist()
    assert torch.equal(module(inputs(name)), before(inputs(name)))


def test_both_vectors_are_float32_and_the_gradient_begins_at_zero():
    model = flat()
    for vector in (model.params, model.grad):
        assert vector.dtype == np.float32
        assert vector.shape == (model.size,)
        assert vector.flags.c_contiguous
    assert not model.grad.any()


@every_model
def test_the_model_computes_with_values_written_to_the_vector(name):
    model, other = flat(name, seed=0), flat(name, seed=1)
    assert not torch.equal(model.module(inputs(name)), other.module(inputs(name)))
    model.params[:] = other.params
    assert torch.equal(model.module(inputs(name)), other.module(inputs(name)))


@every_model
def test_values_written_to_the_model_are_in_the_vector(name):
    model = flat(name)
    with torch.no_grad():
        for number, tensor in enumerate(model.module.parameters()):
            tensor.fill_(number)
    sizes = [tensor.numel() for tensor in model.module.parameters()]
    assert np.array_equal(model.params, np.repeat(np.arange(len(sizes)), sizes))


@every_model
def test_gradients_land_in_the_vector_and_add_up_there(name):
    module = module_named(name)
    plain, model = copy.deepcopy(module), FlatModel(module)
    plain(inputs(name)).square().sum().backward()
    expected = torch.cat([tensor.grad.reshape(-1) for tensor in plain.parameters()]).numpy()
    memory = model.grad.ctypes.data
    for times in (1, 2):
        model.module(inputs(name)).square().sum().backward()
        np.testing.assert_allclose(model.grad, times * expected, rtol=1e-5, atol=1e-4)
    assert model.grad.ctypes.data == memory
    assert expected.any()


def test_a_gradient_written_to_the_vector_is_the_tensors_own():
    model = flat()
    model.grad[:] = np.arange(model.size)
    grads = torch.cat([tensor.grad.reshape(-1) for tensor in model.module.parameters()])
    assert grads.tolist() == list(range(model.size))


def test_the_vectors_lie_in_the_memory_that_was_given():
    given = []

    def alloc(shape, dtype):
        given.append(np.zeros(shape, dtype))
        return given[-1]

    model = flat(alloc=alloc)
    assert [model.params is given[0], model.grad is given[1], len(given)] == [True, True, 2]


def test_only_float32_can_be_flattened():
    with pytest.raises(ValueError, match="only float32"):
        FlatModel(nn.Linear(2, 3).double())


@given(st.lists(st.lists(st.integers(1, 4), max_size=3), max_size=5))
def test_tensors_of_any_shapes_lie_one_after_the_other(shapes):
    module = nn.ParameterList([torch.full(shape, float(number)) for number, shape in enumerate(shapes)])
    model = FlatModel(module)
    assert np.array_equal(model.params, np.repeat(np.arange(len(shapes)), [math.prod(shape) for shape in shapes]))
    assert [list(tensor.shape) for tensor in module] == shapes


def test_threads_that_build_at_the_same_time_take_turns_at_the_random_numbers(monkeypatch):
    """A colocated server builds in the process of a worker, and torch has one generator for both."""
    inside = threading.Barrier(2)

    def build_slowly(shape, classes, hidden):
        try:
            inside.wait(0.2)
        except threading.BrokenBarrierError:
            return torch.nn.Linear(3, 3)
        raise AssertionError("two threads were building")

    monkeypatch.setitem(MODELS, "slow", ("slow", "a model"))
    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace(build=build_slowly))
    one, other = in_threads([lambda: build("slow", (3,), 3, (), seed=1)] * 2)
    assert torch.equal(one.weight, other.weight)
