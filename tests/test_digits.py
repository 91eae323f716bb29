"""The digits: real samples, split once for all runs, and as large as the table of data sets says."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from common.data import DATASETS, load

INFO = DATASETS["digits"]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def rows(samples):
    """Every sample as bytes."""
    return [sample.numpy().tobytes() for sample in samples]


def test_the_sizes_and_shapes_are_those_of_the_table(digits):
    assert digits.train_x.shape == (INFO.train_samples, *INFO.shape)
    assert digits.test_x.shape == (INFO.test_samples, *INFO.shape)
    assert digits.train_y.shape == (INFO.train_samples,)
    assert digits.test_y.shape == (INFO.test_samples,)


def test_samples_are_float32_grey_values_and_labels_are_the_digits(digits):
    for x, y in ((digits.train_x, digits.train_y), (digits.test_x, digits.test_y)):
        assert x.dtype == torch.float32
        assert (x.min(), x.max()) == (0.0, 16.0)
        assert y.dtype == torch.int64
        assert sorted(set(y.tolist())) == list(range(INFO.classes))


def test_training_and_test_samples_together_are_all_samples_with_their_labels(digits):
    images, labels = load_digits(return_X_y=True)
    whole = sorted(zip(rows(torch.from_numpy(images.astype(np.float32))), labels.tolist(), strict=True))
    x, y = torch.cat((digits.train_x, digits.test_x)), torch.cat((digits.train_y, digits.test_y))
    assert sorted(zip(rows(x), y.tolist(), strict=True)) == whole


def test_no_test_sample_is_trained_on(digits):
    assert not set(rows(digits.train_x)) & set(rows(digits.test_x))


def test_every_digit_has_its_share_in_both_parts(digits):
    train, test = (torch.bincount(y, minlength=10) for y in (digits.train_y, digits.test_y))
    expected = (train + test) * INFO.test_samples / (INFO.train_samples + INFO.test_samples)
    assert ((test - expected).abs() < 1.0).all()


def test_the_split_is_the_same_every_time_whatever_the_random_state(digits):
    np.random.seed(99)
    torch.manual_seed(99)
    again = load("digits")
    for name in ("train_x", "train_y", "test_x", "test_y"):
        assert torch.equal(getattr(again, name), getattr(digits, name))


def test_samples_are_in_no_order_of_their_labels(digits):
    assert (digits.train_y[1:] < digits.train_y[:-1]).float().mean() > 0.3
