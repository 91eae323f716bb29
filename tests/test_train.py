"""Stage 4 leaves the gradient of the batch's mean loss, and nothing else changes."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from common.models import build
from common.models.flat import FlatModel
from common.pipeline.train import accuracy, train

RANDOM = torch.Generator().manual_seed(0)
BATCH = torch.randn(12, 1, 4, 4, generator=RANDOM), torch.randint(0, 5, (12,), generator=RANDOM)


def module():
    return build("mlp", (1, 4, 4), 5, (8,), seed=0)


def gradient_of(plain, batch):
    """Loss and flat gradient, as torch computes them without flat vectors."""
    inputs, labels = batch
    loss = cross_entropy(plain(inputs), labels)
    grads = torch.autograd.grad(loss, list(plain.parameters()))
    return loss.item(), torch.cat([grad.reshape(-1) for grad in grads]).numpy()


def test_the_loss_is_the_mean_over_the_batch_and_its_gradient_is_in_the_vector():
    model = FlatModel(module())
    loss, grad = gradient_of(module(), BATCH)
    assert train(model, BATCH) == pytest.approx(loss)
    np.testing.assert_allclose(model.grad, grad, rtol=1e-5, atol=1e-7)
    assert grad.any()


def test_the_gradient_replaces_what_was_there():
    model = FlatModel(module())
    train(model, BATCH)
    first = model.grad.copy()
    model.grad[:] = math.nan
    train(model, BATCH)
    assert np.array_equal(model.grad, first)


def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_halves():
    model = FlatModel(module())
    inputs, labels = BATCH
    halves = []
    for half in (slice(0, 6), slice(6, 12)):
        train(model, (inputs[half], labels[half]))
        halves.append(model.grad.copy())
    train(model, BATCH)
    np.testing.assert_allclose(model.grad, (halves[0] + halves[1]) / 2, rtol=1e-4, atol=1e-7)


def test_the_parameters_stay_as_they_are():
    model = FlatModel(module())
    before = model.params.copy()
    train(model, BATCH)
    assert np.array_equal(model.params, before)


def test_a_model_without_knowledge_has_the_loss_of_a_guess():
    model = FlatModel(module())
    model.params.fill(0.0)
    assert train(model, BATCH) == pytest.approx(math.log(5))


# --- accuracy ---


def guesser(answer):
    """A model that gives every input the same label."""
    model = FlatModel(module())
    model.params.fill(0.0)
    model.params[-5 + answer] = 1.0  # the biases of the last layer come last
    return model


@pytest.mark.parametrize("answer", range(5))
def test_accuracy_is_the_share_of_right_labels(answer):
    inputs, labels = BATCH
    assert accuracy(guesser(answer), inputs, labels) == pytest.approx((labels == answer).float().mean().item())


def test_accuracy_is_0_for_none_and_1_for_all():
    inputs, _ = BATCH
    assert accuracy(guesser(2), inputs, torch.full((12,), 3)) == 0.0
    assert accuracy(guesser(2), inputs, torch.full((12,), 2)) == 1.0


def test_looking_at_accuracy_changes_neither_parameters_nor_gradient_nor_the_mode():
    model = FlatModel(module())
    train(model, BATCH)
    before = copy.deepcopy((model.params, model.grad))
    accuracy(model, *BATCH)
    assert np.array_equal((model.params, model.grad), before)
    assert model.module.training


def test_accuracy_is_looked_at_without_dropout():
    model = FlatModel(nn.Sequential(nn.Flatten(), nn.Dropout(0.99), nn.Linear(16, 5)))
    inputs, _ = BATCH
    labels = model.module.eval()(inputs).argmax(1)
    model.module.train()
    assert accuracy(model, inputs, labels) == 1.0
