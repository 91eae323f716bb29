"""The charts of stragglers and staleness are there where their data are, and their titles say what was measured."""

import pytest
from runs import write_run

from experiments.results import load_run
from experiments.sentences import slowness, stale, straggler_cost, times_line
from experiments.straggler_plots import has_straggler, plot_stragglers


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
    assert "ps-ssp(3) 1.5× the samples/s of ps-bsp; ring no more" in stragglers
    assert "transport ipc; on worker 3 4× as long" in stragglers
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
    assert slowness(runs) == "on worker 3 4× as long"
    both = write_run(tmp_path, "tree", slow_worker="1:2,0:1.5", jitter="uniform:0,1", train_seconds=0.02)
    told = ("training takes 20 ms", "on worker 1 2× as long", "on worker 0 1.5× as long")
    assert slowness([load_run(both)]) == ", ".join((*told, "each step 0 to 1000 ms longer (uniform)"))
    random = write_run(tmp_path, "direct", jitter="exponential:0.04")
    assert slowness([load_run(random)]) == "each step 40 ms longer on average (exponential)"
    assert has_straggler(load_run(both))
    assert not has_straggler(load_run(write_run(tmp_path, "star")))


def test_sentences_claim_no_more_than_the_numbers_show():
    assert stale({"a": 0, "b": 0}) == "No update was stale: every gradient was of the newest step"
    assert stale({"a": 1}) == "Gradients of a were applied up to 1 step late"
    assert stale({"a": 3, "b": 9}) == "Gradients of b were applied up to 9 steps late, those of a up to 3"
    rates = {"async": 300.0, "ssp": 101.0, "ring": 90.0, "bsp": 100.0, "backup": 200.0}
    assert straggler_cost(rates, "bsp") == "async 3.0×, backup 2.0× the samples/s of bsp; ssp and ring no more"
    assert straggler_cost({"bsp": 100.0, "async": 300.0}, "bsp") == "async 3.0× the samples/s of bsp"
    even = straggler_cost({"bsp": 100.0, "async": 103.0}, "bsp")
    assert even == "Beside a straggler nothing beats bsp: 100 samples/s"
    assert times_line(0.5, {"a": None, "b": 2.0, "c": 1.234}) == "seconds to a loss of 0.5: c 1.23, b 2, a never"


def test_runs_of_the_same_settings_are_repeats_of_which_the_median_counts(tmp_path):
    rates = {"ps-bsp": (900.0, 1000.0, 2000.0), "ring": (1000.0,), "ps-async": (2500.0, 3000.0, 3100.0)}
    runs = [
        straggling(tmp_path, name, rate, name=f"{name}{rate}", staleness_histogram={"1": int(rate)}, staleness_max=1)
        for name, every in rates.items()
        for rate in every
    ]
    plot_stragglers(runs, tmp_path)
    found = (tmp_path / "stragglers.svg").read_text()
    assert "<!-- ps-async 3.0× the samples/s of ps-bsp; ring no more -->" in found
    assert "median of 3 repeats" in found
    assert "Updates of 3 repeats" in (tmp_path / "staleness.svg").read_text()


def test_ranges_of_staleness_name_their_ends_once(tmp_path):
    spread = {"staleness_histogram": {"0": 995, "10": 5}, "staleness_max": 10}
    plot_stragglers([load_run(write_run(tmp_path, "ps-async", **spread))], tmp_path)
    text = (tmp_path / "staleness.svg").read_text()
    assert "<!-- 10 -->" in text
    assert "<!-- &lt;1% -->" in text
