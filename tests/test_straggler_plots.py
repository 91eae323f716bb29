"""The charts of stragglers and staleness are there where their data are, and their titles say what was measured."""

import pytest
from runs import write_run

from experiments.results import load_run
from experiments.sentences import stale, straggler_cost, times_line
from experiments.straggler_plots import has_straggler, plot_stragglers, slowness


def straggling(folder, strategy, rate, **more):
    return load_run(write_run(folder, strategy, samples_per_second=rate, slow_worker="3:4", **more))


@pytest.fixture
def runs(tmp_path):
    stale_run = {"staleness_histogram": {"0": 6, "3": 2}, "staleness_max": 3, "consistency": "ssp(3)"}
    return [
        straggling(tmp_path, "ps-bsp", 1000.0, staleness_histogram={"0": 8}, staleness_max=0),
        straggling(tmp_path, "ps-ssp", 1500.0, **stale_run),
        straggling(tmp_path, "ring", 1010.0),
    ]


def names(files):
    return sorted(file.name for file in files)


def test_both_charts_are_drawn_as_png_and_svg(tmp_path, runs):
    files = plot_stragglers(runs, tmp_path, "a note")
    assert names(files) == ["staleness.png", "staleness.svg", "stragglers.png", "stragglers.svg"]
    staleness, stragglers = ((tmp_path / f"{name}.svg").read_text() for name in ("staleness", "stragglers"))
    assert "<!-- Gradients of ps-ssp(3) were applied up to 3 steps late -->" in staleness
    assert "No update was stale: ps-bsp" in staleness
    assert "ps-ssp(3) beside a straggler: 1.50k samples/s, 1.5× ps-bsp" in stragglers
    assert "worker 3 trains 4× as long" in stragglers
    assert stragglers.count("<!-- a note -->") == 1


def test_a_chart_without_data_is_not_drawn(tmp_path, runs):
    plain = load_run(write_run(tmp_path, "star"))
    assert plot_stragglers([plain], tmp_path) == []
    assert names(plot_stragglers([runs[1], plain], tmp_path)) == ["staleness.png", "staleness.svg"]
    assert names(plot_stragglers([runs[2]], tmp_path)) == []


def test_a_run_without_stale_updates_is_drawn_where_it_is_alone(tmp_path, runs):
    plot_stragglers(runs[:1], tmp_path)
    assert "No update was stale: every gradient was of the newest step" in (tmp_path / "staleness.svg").read_text()


def test_a_wide_spread_is_drawn_in_a_few_bars(tmp_path):
    spread = {"staleness_histogram": {str(steps): 1 for steps in range(100)}, "staleness_max": 99}
    plot_stragglers([load_run(write_run(tmp_path, "ps-async", **spread))], tmp_path)
    text = (tmp_path / "staleness.svg").read_text()
    assert text.count("<!-- 10% -->") >= 10
    assert "<!-- 90–99 -->" in text


def test_what_made_workers_slow_is_said_in_words(tmp_path, runs):
    assert slowness(runs) == "worker 3 trains 4× as long"
    both = write_run(tmp_path, "tree", slow_worker="1:2,0:1.5", jitter="uniform:0,1", train_seconds=0.02)
    said = "worker 1 trains 2× as long, worker 0 trains 1.5× as long, jitter uniform:0,1, training 20 ms a step"
    assert slowness([load_run(both)]) == said
    assert has_straggler(load_run(both))
    assert not has_straggler(load_run(write_run(tmp_path, "star")))


def test_sentences_claim_no_more_than_the_numbers_show():
    assert stale({"a": 0, "b": 0}) == "No update was stale: every gradient was of the newest step"
    assert stale({"a": 1}) == "Gradients of a were applied up to 1 step late"
    assert stale({"a": 3, "b": 9}) == "Gradients of b were applied up to 9 steps late, those of a up to 3"
    rates = {"bsp": 100.0, "async": 300.0}
    fast = "async beside a straggler: 300 samples/s, 3.0× bsp"
    assert straggler_cost(rates, "bsp", 0.5, {"bsp": 8.0, "async": 2.0}) == f"{fast}; to loss 0.5 4.0× sooner"
    assert straggler_cost(rates, "bsp", 0.5, {"bsp": 2.0, "async": 8.0}) == f"{fast}; to loss 0.5 4.0× later"
    assert straggler_cost(rates, "bsp", 0.5, {"bsp": 2.0, "async": 2.05}) == fast
    assert straggler_cost(rates, "bsp", 0.5, {"bsp": None, "async": 2.0}) == fast
    even = straggler_cost({"bsp": 100.0, "async": 103.0}, "bsp", None, {})
    assert even == "Beside a straggler nothing beats bsp: 100 samples/s"
    assert times_line(0.5, {"a": None, "b": 2.0, "c": 1.234}) == "seconds to a loss of 0.5: c 1.23, b 2, a never"
