"""Model input has mean 0 and deviation 1 over the training split, one scale for all, and nothing else is changed."""

import pytest
import torch

from common.data import describe
from common.pipeline.preprocess import Normalise, fit

RAW = torch.tensor([[0.0, 2.0], [4.0, 10.0]])  # mean 4, deviation √(56/3)


def test_the_statistics_are_two_numbers_over_all_samples_and_pixels():
    assert Normalise.fit(RAW) == Normalise(mean=4.0, std=pytest.approx((56 / 3) ** 0.5))


def test_what_it_was_fitted_to_becomes_mean_0_and_deviation_1():
    samples = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 16
    normal = Normalise.fit(samples)(samples)
    assert normal.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert normal.std().item() == pytest.approx(1.0, abs=1e-5)


def test_other_samples_are_scaled_alike():
    assert Normalise(mean=4.0, std=2.0)(torch.tensor([[8.0, 3.0]])).tolist() == [[2.0, -0.5]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64])
def test_any_dtype_becomes_float32_of_the_same_shape(dtype):
    samples = torch.arange(24).reshape(2, 3, 4).to(dtype)
    normal = Normalise.fit(samples)(samples)
    assert normal.dtype == torch.float32
    assert normal.shape == samples.shape
    assert normal.flatten()[-1].item() == pytest.approx((23 - 11.5) / 50**0.5)


def test_each_sample_is_scaled_alone_whatever_batch_it_is_in():
    normalise = Normalise.fit(RAW)
    assert torch.equal(normalise(RAW)[1:], normalise(RAW[1:]))


def test_samples_that_are_all_alike_become_zero_and_not_infinite():
    alike = torch.full((3, 2), 7.0)
    assert Normalise.fit(alike)(alike).tolist() == [[0.0, 0.0]] * 3


def test_the_samples_stay_as_they_are():
    before = RAW.clone()
    Normalise.fit(RAW)(RAW)
    assert torch.equal(RAW, before)


def test_ids_stay_the_ids_they_are_and_values_are_normalised():
    ids = torch.tensor([[0, 7], [3, 3]], dtype=torch.int32)
    assert torch.equal(fit(describe("clicks"), ids)(ids), ids.long())
    assert fit(describe("digits"), RAW) == Normalise.fit(RAW)
