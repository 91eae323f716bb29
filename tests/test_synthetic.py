"""Synthetic classes: as many, as large and as noisy as asked for, and the same every time."""

import numpy as np
import pytest
import torch

from common.data import canonical, describe, load


def test_the_sizes_are_those_asked_for():
    info, data = (
        describe("synthetic:samples=500,features=7,classes=3"),
        load("synthetic:samples=500,features=7,classes=3"),
    )
    assert (info.train_samples, info.test_samples, info.shape, info.classes) == (500, 50, (7,), 3)
    assert (data.train_x.shape, data.test_x.shape) == ((500, 7), (50, 7))
    assert data.train_x.dtype == torch.float32
    assert set(data.train_y.tolist()) == {0, 1, 2}


def test_with_a_side_samples_are_images():
    name = "synthetic:samples=20,features=3,side=32"
    assert describe(name).shape == tuple(load(name).train_x.shape[1:]) == (3, 32, 32)


@pytest.mark.parametrize("noise", [0.0, 0.5, 4.0])
def test_samples_lie_around_the_point_of_their_class_as_far_as_the_noise_says(noise):
    data = load(f"synthetic:samples=4000,features=12,classes=4,noise={noise}")
    means = []
    for label in range(4):
        mine = data.train_x[data.train_y == label]
        means.append(mine.mean(0))
        np.testing.assert_allclose(mine.std(0), noise, rtol=0.1, atol=1e-6)
    nearest = torch.cdist(data.test_x, torch.stack(means)).argmin(1)
    right = (nearest == data.test_y).float().mean()
    assert right > 0.97 if noise < 1 else right < 0.9


def test_samples_are_the_same_for_every_random_state():
    first = load("synthetic").sha256()
    np.random.seed(99)
    torch.manual_seed(99)
    assert load("synthetic").sha256() == first
    assert load("synthetic:noise=1").sha256() != first
    assert canonical("synthetic: noise=2.00, samples=3_000") == "synthetic:samples=3000"
