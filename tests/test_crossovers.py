"""The strategy that is the fastest at each size."""

import math

import pytest

from common.strategy import Link
from experiments.prediction import crossovers
from experiments.prediction.cost_model import (
    constant,
)
from experiments.prediction.crossovers import fastest_ranges, sentence

LINK = Link(alpha=50e-6, beta=8e-9, gamma=1e-9)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_the_crossover_is_where_algebra_says(n):
    """2⌈log₂n⌉(α + Mβ) = 2(n-1)α + 2(n-1)/n·Mβ, without the adding."""
    link, steps = Link(50e-6, 8e-9), math.log2(n)
    at = link.alpha * (n - 1 - steps) / (link.beta * (steps - (n - 1) / n))
    found = fastest_ranges(["ring", "tree"], n, 1, 4, 1 << 30, constant(link))
    assert [reign.strategy for reign in found] == ["tree", "ring"]
    assert found[0].high == found[1].low == pytest.approx(at, rel=0.01)
    assert (found[0].low, found[1].high) == (4, 1 << 30)


def test_one_range_is_left_if_one_strategy_wins_everywhere_and_of_equals_the_first_named_wins():
    found = fastest_ranges(["ring", "tree"], 2, 1, 4, 1 << 30, constant(Link(0.0, 8e-9)))
    assert [reign.strategy for reign in found] == ["ring"]
    same = fastest_ranges(["noop", "single"], 2, 1, 4, 1 << 20, constant(LINK))
    assert [reign.strategy for reign in same] == ["noop"]


@pytest.mark.parametrize(
    ("dip", "told"),
    [
        (0.97, "8 workers, 1.0 KiB to 1.0 MiB: ring at every size (tree within 5 %); at 1.0 MiB ring takes 1.00 ms, "),
        (0.90, "8 workers, 1.0 KiB to 1.0 MiB: ring up to 4.0 KiB, then tree up to 64.0 KiB, then ring; at 1.0 MiB "),
    ],
)
def test_a_lead_of_less_than_five_percent_begins_no_new_range(monkeypatch, dip, told):
    times = {"ring": lambda size: 1e-3, "tree": lambda size: 1e-3 * (dip if 4096 <= size < 65536 else 2)}
    monkeypatch.setattr(crossovers, "curves", lambda *_: times)
    network = constant(LINK)
    found = fastest_ranges(list(times), 8, 1, 1024, 1 << 20, network)
    assert [one.level for one in found] == ([("tree",)] if dip > 0.95 else [(), (), ()])
    assert sentence(list(times), 8, 1, found, network).startswith(told)


@pytest.mark.parametrize("workers", [8, 1024])
def test_the_strategy_of_a_range_is_about_within_five_percent_of_the_fastest_at_every_size(workers):
    """Pieces of whole segments make the curves of trees uneven: they cross that of a ring many times.

    Between the sizes that are looked at a peak may be a little higher.
    """
    names, network = ["ring", "tree", "double-tree", "ps-bsp"], constant(Link(50e-6, 8e-9))
    found = fastest_ranges(names, workers, 1, 4096, 100 << 20, network)
    times = crossovers.curves(names, workers, 1, network)
    assert [one.low for one in found[1:]] == [one.high for one in found[:-1]]
    for one in found:
        low, high = one.low * crossovers.SHARP, one.high / crossovers.SHARP
        for size in (round(low * (high / low) ** (place / 50)) for place in range(51)):
            assert times[one.strategy](size) <= 1.08 * min(time(size) for time in times.values())
    if workers == 1024:
        assert [one.strategy for one in found] == ["tree", "ring", "double-tree", "ring"]


def test_a_sentence_names_the_fastest_strategy_for_each_range():
    names, network = ["ring", "tree", "gloo"], constant(Link(50e-6, 8e-9))
    said = sentence(names, 16, 1, fastest_ranges(names, 16, 1, 1024, 1 << 20, network), network)
    assert said.startswith("16 workers, 1.0 KiB to 1.0 MiB: tree up to 21.9 KiB, then ring; at 1.0 MiB ring takes ")
    assert sentence(["gloo"], 4, 1, fastest_ranges(["gloo"], 4, 1, 4, 8, network), network).endswith("has a formula")
    assert (
        sentence(names, 1, 1, fastest_ranges(names, 1, 1, 4, 8, network), network) == "1 worker: nothing is exchanged"
    )
