"""Repeats: the middle one is shown, and no winner is named within their spread."""

import pytest
from runs import write_run

from common.errors import CheckFailed
from experiments.repeats import clear_winner, medians, same_bits
from experiments.results import load_run


@pytest.fixture
def run(tmp_path):
    """Makes a run folder and loads it."""

    def make(strategy, rate, **summary):
        name = f"{strategy}-{rate}-{len(list(tmp_path.iterdir()))}"
        return load_run(write_run(tmp_path, strategy, name=name, samples_per_second=rate, **summary))

    return make


def test_the_run_in_the_middle_stands_for_its_strategy(run):
    runs = [
        run("ring", 30.0),
        run("star", 5.0),
        run("ring", 10.0),
        run("star", 7.0),
        run("ring", 20.0),
        run("star", 6.0),
    ]
    chosen, rates = medians(runs)
    assert [(each.strategy, each.number("samples_per_second")) for each in chosen] == [("ring", 20.0), ("star", 6.0)]
    assert rates == {"ring": [10.0, 20.0, 30.0], "star": [5.0, 6.0, 7.0]}


def test_of_two_repeats_the_slower_is_shown(run):
    chosen, _ = medians([run("ring", 30.0), run("ring", 10.0)])
    assert chosen[0].number("samples_per_second") == 10.0


def test_a_winner_is_faster_in_every_repeat():
    assert clear_winner({"ring": [11.0, 30.0], "star": [9.0, 10.0]}, "ring")
    assert not clear_winner({"ring": [10.0, 30.0], "star": [9.0, 10.0]}, "ring")


def test_repeats_with_other_bits_are_refused(run):
    same_bits([run("ring", 1.0, params_sha256=["a"]), run("ring", 2.0, params_sha256=["a"])])
    with pytest.raises(CheckFailed, match=r"ring: .*other bits"):
        same_bits([run("ring", 1.0, params_sha256=["a"]), run("ring", 2.0, params_sha256=["b"])])
