"""Buckets that are given away while backward goes on: order, finality, gradients that cannot be trusted."""

import numpy as np
import pytest
import torch
from small_models import HalfUsed, backward, mlp, pieces_of
from torch import nn

from common.models.flat import FlatModel
from common.pipeline.overlap import BucketFiller


def test_buckets_are_given_away_in_order_while_backward_goes_on():
    model = FlatModel(mlp())
    given = []
    filler = BucketFiller(model, pieces_of(model), given.append)
    seen = []

    def when_it_has_a_gradient(module, inputs, output):
        output.register_hook(lambda grad: seen.append(list(given)))

    model.module[0].register_forward_hook(when_it_has_a_gradient)
    filler.begin()
    backward(model)
    assert given == list(range(6))
    assert seen == [[0, 1, 2, 3]]  # those of the other layers, before the first layer had a gradient


def test_a_bucket_that_is_full_early_waits_for_those_before_it():
    class Crossed(nn.Module):
        """The first parameter is the last to be used, so its gradient is the first to come."""

        def __init__(self):
            super().__init__()
            self.early, self.late = nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(6))

        def forward(self, x):
            return (x * self.late).relu() * self.early

    model = FlatModel(Crossed())
    given, came = [], []
    filler = BucketFiller(model, pieces_of(model), lambda index: given.append((index, list(came))))
    for name in ("early", "late"):
        getattr(model.module, name).register_post_accumulate_grad_hook(lambda _, name=name: came.append(name))
    filler.begin()
    backward(model)
    assert came == ["early", "late"]
    assert [index for index, _ in given] == [0, 1]
    assert given[0][1] == ["early"]  # so bucket 1, full already, was held back until `late` came


def test_a_bucket_that_is_given_away_is_final():
    model = FlatModel(mlp())
    pieces, copies = pieces_of(model), {}
    filler = BucketFiller(model, pieces, lambda index: copies.update({index: model.grad[pieces[index]].copy()}))
    for _ in range(2):
        filler.begin()
        backward(model)
        for index, piece in enumerate(pieces):
            assert np.array_equal(copies[index], model.grad[piece])
            assert copies[index].any() or index % 2 == 0 or not model.grad[piece].any()


def test_parameters_without_a_part_in_backward_are_given_away_after_it_with_no_gradient():
    model = FlatModel(HalfUsed())
    given = []
    filler = BucketFiller(model, pieces_of(model), given.append)
    filler.begin()
    model.grad.fill(7.0)
    backward(model)
    assert given == []  # the last tensors are the unused ones: everything waits for them
    filler.finish()
    assert given == [0, 1, 2, 3]
    assert not model.grad[21:].any()
    assert model.grad[:21].any()


def test_nobody_waits_for_frozen_parameters():
    module = HalfUsed()
    module.unused.requires_grad_(False)
    model = FlatModel(module)
    given = []
    filler = BucketFiller(model, pieces_of(model), given.append)
    filler.begin()
    backward(model)
    assert given == [0, 1, 2, 3]


def test_a_shared_parameter_is_final_when_all_its_uses_are():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x):
            return self.inner(self.inner(x).relu())

    model = FlatModel(Shared())
    given = []
    filler = BucketFiller(model, pieces_of(model), lambda index: given.append(model.grad.copy()))
    filler.begin()
    backward(model)
    assert np.array_equal(given[-1], model.grad)


def test_a_gradient_that_grows_after_it_was_given_away_is_an_error():
    model = FlatModel(mlp())
    filler = BucketFiller(model, pieces_of(model), lambda index: None)
    filler.begin()
    backward(model)
    with pytest.raises(RuntimeError, match="needs --overlap off"):
        backward(model)


def test_a_gradient_that_left_the_flat_vector_is_an_error():
    model = FlatModel(mlp())
    filler = BucketFiller(model, pieces_of(model), lambda index: None)
    filler.begin()
    model.module.zero_grad(set_to_none=True)
    with pytest.raises(RuntimeError, match="replaced a gradient"):
        backward(model)


def test_autograd_adds_to_the_flat_gradient_in_place_with_hooks_and_without():
    for hooked in (False, True):
        model = FlatModel(mlp())
        if hooked:
            BucketFiller(model, pieces_of(model), lambda index: None).begin()
        addresses = [tensor.grad.data_ptr() for tensor in model.tensors]
        backward(model)
        assert [tensor.grad.data_ptr() for tensor in model.tensors] == addresses
        grads = torch.cat([tensor.grad.reshape(-1) for tensor in model.tensors])
        assert np.array_equal(grads.numpy(), model.grad)


def test_when_closed_the_hooks_are_gone():
    model = FlatModel(mlp())
    given = []
    filler = BucketFiller(model, pieces_of(model), given.append)
    filler.begin()
    filler.close()
    backward(model)
    assert given == []
