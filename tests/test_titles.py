"""A chart's title names numbers that were measured, and claims no more than they show."""

import math

import pytest

from experiments.charts.titles import (
    hub,
    hubs,
    learning,
    stale,
    straggler_cost,
    synchronisation,
)
from experiments.format.words import turns
from experiments.runs.describe import times_line


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (synchronisation({"ring": 0.2, "star": 0.7}), "Synchronisation takes 20% (ring) to 70% (star) of a step"),
        (synchronisation({"ring": 0.2, "star": 0.201}), "Synchronisation takes 20% of a step"),
        (
            learning({"a": 0.1, "b": 0.101}, True),
            "From the same samples all synchronous strategies reach the same loss",
        ),
        (learning({"a": 0.1, "b": 0.2}, True), "From the same samples a reaches a loss of 0.1, b 0.2"),
        (learning({"a": 0.1, "b": 0.2, "c": 0.1}, True), "From the same samples 2 of 3 reach a loss of 0.1, b 0.2"),
        (hubs({"ring": 1.0, "star": 3.0}), "The busiest process sends 3.0× what others do in star; ring has no hub"),
        (
            hubs({"star": 3.0, "ps-bsp": 4.0, "tree": 2.0}),
            "The busiest process sends 4.0× what others do in ps-bsp, 3.0× in star and 2.0× in tree",
        ),
        (
            hubs({"a": 2.0, "b": 3.0, "c": math.inf, "d": 2.5, "e": 1.5}),
            "The busiest process sends far more than others do in c, 3.0× in b, 2.5× in d and less in others",
        ),
        (
            hubs({"ps-bsp": 4.0, "ps-async": 4.0, "star": 3.0, "ring": 1.0}),
            "The busiest process sends 4.0× what others do in ps-bsp and ps-async, and 3.0× in star; ring has no hub",
        ),
        (hubs({"ring": 1.0, "tree": 1.4}), "No hub: every process sends about as much as the others"),
    ],
)
def test_a_title_names_the_numbers_that_it_rests_on(statement, expected):
    assert statement == expected


def test_once_is_not_in_turns():
    assert [turns(1), turns(5)] == ["once", "5 times in turns"]


def test_a_title_about_nothing_claims_nothing():
    assert synchronisation({}) == "Where the time of a step goes"
    assert learning({"single": 0.1}, True) == "Loss against samples seen"
    assert hubs({}).startswith("No hub")


@pytest.mark.parametrize(
    ("servers", "workers", "expected"),
    [
        ([4096.0], [1024.0] * 4, (4.0, "server: 4.0 KiB, 4.0× the others")),
        ([], [3072.0, 1024.0, 1024.0], (3.0, "worker: 3.0 KiB, 3.0× the others")),
        ([], [2048.0, 2048.0, 1024.0, 1024.0], (2.0, "2 workers: 2.0 KiB each, 2.0× the others")),
        ([], [4096.0, 2048.0, 1024.0, 1024.0], (4.0, "worker: 4.0 KiB, 4.0× the median of the others")),
        ([4096.0], [4096.0, 1024.0, 1024.0], (4.0, "2 processes: 4.0 KiB each, 4.0× the others")),
        ([], [4096.0, 0.0, 0.0], (math.inf, "worker: 4.0 KiB")),
        ([], [1536.0] * 4, (1.0, "1.5 KiB each")),
        ([], [0.0] * 4, (1.0, "nothing")),
        ([], [512.0], (1.0, "512 B")),
    ],
)
def test_a_hub_is_the_rank_that_sends_more_than_the_others(servers, workers, expected):
    assert hub(servers, workers) == expected


def test_sentences_claim_no_more_than_the_numbers_show():
    assert stale({"a": 1}) == "Gradients of a were applied up to 1 step late"
    assert stale({"a": 3, "b": 9}) == "Gradients of b were applied up to 9 steps late, those of a up to 3"
    assert stale({"a": 7}, "update") == "Gradients of a were applied up to 7 updates late"
    rates = {"async": 300.0, "ssp": 101.0, "ring": 90.0, "bsp": 100.0, "backup": 200.0}
    assert (
        straggler_cost(rates, "bsp")
        == "async makes 3.0× and backup 2.0× the samples/s of bsp; ssp and ring make no more"
    )
    assert straggler_cost({"bsp": 100.0, "async": 300.0}, "bsp") == "async makes 3.0× the samples/s of bsp"
    even = straggler_cost({"bsp": 100.0, "async": 103.0}, "bsp")
    assert even == "Beside a straggler nothing beats bsp: 100 samples/s"
    assert times_line(0.5, {"a": None, "b": 2.0, "c": 1.234}) == "seconds to a loss of 0.5: c 1.23, b 2, a never"
