"""Medians and their intervals."""

import math
import random

import pytest

from experiments.metrics.intervals import RESOLUTION, interval, median_interval, ratio_interval


def test_the_median_is_the_one_in_the_middle():
    assert median_interval([5.0, 1.0, 3.0]).middle == 3.0
    assert median_interval([1.0, 2.0]).middle == 1.5


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


def rates(source, count, *, scatter, slow=0.0, factor=1.0):
    """Samples/s of repeats around 1000 × factor; a part `slow` of them is hit by something and a third slower."""
    return [
        1000 * factor * math.exp(source.gauss(0, scatter)) * (0.67 if source.random() < slow else 1)
        for _ in range(count)
    ]


@pytest.mark.parametrize("slow", [0.0, 0.15])
@pytest.mark.parametrize(("repeats", "scatter"), [(3, 0.03), (5, 0.03), (5, 0.1)])
def test_the_same_compared_with_itself_is_no_difference_nine_times_in_ten(repeats, scatter, slow):
    source, tens = random.Random(repeats), 15
    differ = [
        not found.low <= 1 <= found.high
        for found in (
            ratio_interval(*(rates(source, repeats, scatter=scatter, slow=slow) for _ in "ab"))
            for _ in range(10 * tens)
        )
    ]
    assert sum(differ) <= 0.05 * len(differ)
    good = sum(sum(differ[10 * ten : 10 * ten + 10]) <= 1 for ten in range(tens))
    assert good >= tens - 1


def test_five_repeats_show_a_difference_that_is_larger_than_the_scatter():
    source = random.Random(3)
    faster = [
        ratio_interval(rates(source, 5, scatter=0.03, factor=1.25), rates(source, 5, scatter=0.03)) for _ in range(20)
    ]
    assert all(found.low > 1 for found in faster)
    assert all(found.low <= 1.25 <= found.high for found in faster[:10])


def test_two_repeats_of_each_say_next_to_nothing():
    found = ratio_interval([110.0, 120.0], [100.0, 105.0])
    assert found.low < 1 < found.high


def test_a_ratio_within_the_resolution_is_no_difference_though_nothing_scatters():
    found = ratio_interval([100.0] * 5, [100.0 * (1 + RESOLUTION / 2)] * 5)
    assert found.low < 1 < found.high
    assert ratio_interval([200.0] * 3, [100.0] * 3).low == pytest.approx(2 * (1 - RESOLUTION))


def test_a_single_repeat_on_either_side_has_a_ratio_without_width():
    for samples, base in (([3.0], [2.0, 2.0]), ([3.0, 3.0], [2.0])):
        found = ratio_interval(samples, base)
        assert (found.low, found.middle, found.high) == (1.5, 1.5, 1.5)
    assert median_interval([7.0]).low == median_interval([7.0]).high == 7.0


def test_the_interval_of_a_median_is_wider_than_three_samples_are():
    found = median_interval([90.0, 100.0, 110.0])
    assert 0 < found.low < 90.0 < found.middle == 100.0 < 110.0 < found.high
    assert median_interval([5.0, 5.0]).low == pytest.approx(5.0)
    wild = median_interval([1e-3, 1e9])
    assert 0 < wild.low < wild.high < math.inf
