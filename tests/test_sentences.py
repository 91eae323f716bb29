"""Sentences name numbers that were measured, and claim no more than they show."""

from runs import write_run

from experiments.charts.straggler import has_straggler
from experiments.runs.describe import conditions, slowness, stale, straggler_cost, times_line
from experiments.runs.run import load_run


def test_what_made_workers_slow_is_said_in_words(tmp_path):
    slow = load_run(write_run(tmp_path, "ring", slow_worker="3:4"))
    assert slowness([slow]) == "on worker 3 4× as long"
    both = write_run(tmp_path, "tree", slow_worker="1:2,0:1.5", jitter="uniform:0,1", train_seconds=0.02)
    told = ("training takes 20 ms", "on worker 1 2× as long", "on worker 0 1.5× as long")
    assert slowness([load_run(both)]) == ", ".join((*told, "each step 0 to 1000 ms longer (uniform)"))
    random = write_run(tmp_path, "direct", jitter="exponential:0.04")
    assert slowness([load_run(random)]) == "each step 40 ms longer on average (exponential)"
    assert has_straggler(load_run(both))
    assert not has_straggler(load_run(write_run(tmp_path, "star")))


def test_a_long_list_of_conditions_is_told_by_its_ends(tmp_path):
    runs = [load_run(write_run(tmp_path, "ring", name=f"{n}", workers=n, parameters=1000 * n)) for n in (1, 2, 4, 8)]
    assert conditions(runs).startswith("1 … 8 workers, batch 128, mlp with 1,000 … 8,000 parameters")
    assert conditions(runs[1:]).startswith("2 / 4 / 8 workers")


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
