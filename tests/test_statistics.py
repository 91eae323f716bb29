"""Medians and their intervals."""

import random

import pytest

from experiments.statistics import interval, median


def test_the_median_is_the_one_in_the_middle():
    assert median([5.0, 1.0, 3.0]) == 3.0
    assert median([1.0, 2.0]) == 1.5


def test_one_repeat_shows_no_spread():
    assert interval([1.0]) is None


def test_equal_samples_have_an_interval_of_no_width():
    assert interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_interval_lies_within_the_samples_and_around_the_median():
    samples = [3.0, 9.0, 4.0, 7.0, 5.0]
    low, high = interval(samples)
    assert 3.0 <= low <= 5.0 <= high <= 9.0


def test_the_same_samples_give_the_same_interval():
    samples = [0.3, 0.9, 0.4, 0.7, 0.5, 0.6]
    assert interval(samples) == interval(samples)


@pytest.mark.parametrize("repeats", [15])
def test_the_interval_contains_the_true_median_about_as_often_as_it_says(repeats):
    source = random.Random(1)
    intervals = [interval([source.gauss(10, 1) for _ in range(repeats)]) for _ in range(60)]
    assert sum(low <= 10 <= high for low, high in intervals) >= 50
