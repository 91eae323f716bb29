"""A verdict is a sentence that names whom it compares, the figures and their intervals."""

import re

import pytest
from contests import around, contest_of, repeats_in

from experiments.comparison.compare import compare_runs
from experiments.comparison.wording import LONGEST, contest_clause, verdict_sentence, verdict_title


@pytest.fixture
def runs(tmp_path):
    return repeats_in(tmp_path)


def test_the_verdict_of_a_contest_is_a_sentence_with_ratios_intervals_and_figures(runs):
    every = [
        *runs("ps-bsp", around(1000.0)),
        *runs("star", around(1005.0)),
        *runs("ring", around(2000.0)),
        *runs("tree", around(500.0)),
        *runs("noop", around(4000.0)),
        *runs("direct", around(900.0), params=[1.0, 1.0]),
    ]
    sentence = verdict_sentence(compare_runs(every))
    assert sentence.startswith("Against ps-bsp (1.00k samples/s), ring is faster, 2.00× (1.9")
    assert ") at 2.00k samples/s; tree is slower, 0.50× (0.4" in sentence
    assert "; there is no difference for star (" in sentence
    assert sentence.endswith("k samples/s) (direct cannot be compared).")
    assert "noop" not in sentence


def test_the_verdict_of_a_sweep_has_the_growth_of_throughput_and_the_last_contest(runs):
    every = [
        *contest_of(runs, 2, ps_bsp=100, ring=100, star=50),
        *contest_of(runs, 4, ps_bsp=120, ring=360, star=240),
    ]
    growth = "From 2 to 4 workers ring makes 3.6 times the samples/s, star 4.8, ps-bsp 1.2."
    four = r"With 4 workers: against ps-bsp \(120 samples/s\), ring is faster, 3\.00× \(.*\) at 360 samples/s; "
    four += r"star is faster, 2\.00× \(.*\) at 240 samples/s\."
    assert re.fullmatch(f"{re.escape(growth)} {four}", verdict_sentence(compare_runs(every)))


def test_the_verdict_of_a_sweep_covers_every_entry_that_differs(runs):
    first = {"ring": 100, "star": 300, "tree": 101, "direct": 50, "gloo": 25}
    second = {"ring": 100, "direct": 50, "gloo": 25}
    every = [
        run
        for seed, rates in enumerate((first, second))
        for name, rate in rates.items()
        for run in runs(name, around(rate), seed=seed, ledger_sha256=f"of {seed}")
    ]
    one, two = re.split(r"(?<=\.) (?=With seed 1)", verdict_sentence(compare_runs(every)))
    slowest = r"gloo is slower, 0\.25× \(.*\) at 25 samples/s, and so is 1 more"
    assert re.search(rf"against ring .*, star is faster, .*; {slowest}; there is no difference for tree ", one)
    assert re.fullmatch(rf"With seed 1: against ring \(100 samples/s\), {slowest}\.", two)


def test_of_many_contenders_only_the_extremes_of_growth_are_named(runs):
    rates = {"ring": 100, "star": 101, "tree": 102, "direct": 103, "gloo": 104, "double_tree": 105}
    faster = {name: rate * (3 if name == "ring" else 2 if name == "star" else 2.5) for name, rate in rates.items()}
    said = verdict_sentence(compare_runs([*contest_of(runs, 1, **rates), *contest_of(runs, 8, **faster)]))
    assert said.startswith("From 1 to 8 workers the samples/s become 3.0 (ring) to 2.0 (star) times as many. With 8 ")


def test_with_an_incomparable_entry_each_number_of_workers_has_a_sentence(runs):
    every = [*contest_of(runs, 2, ring=100, star=50), *contest_of(runs, 4, ring=200, star=100)]
    every += runs("tree", around(100), workers=2, batch=64, ledger_sha256="another")
    said = verdict_sentence(compare_runs(every))
    assert "With 2 workers: against ring (100 samples/s), star is slower" in said
    assert "(tree cannot be compared)" in said


def test_growth_is_told_only_if_nothing_but_the_workers_differs(runs):
    every = [
        run
        for workers in (1, 2)
        for link in ("1gbit", "10gbit")
        for name in ("ring", "star")
        for run in runs(name, around(100.0 * workers), workers=workers, link=link)
    ]
    assert verdict_sentence(compare_runs(every)).startswith("With 1 worker, link 1gbit: ")


def test_the_verdict_is_a_sentence_for_every_finding(runs):
    def said(**rates):
        every = [run for name, rate in rates.items() for run in runs(name, around(rate) if rate > 9 else [50.0 * rate])]
        return verdict_sentence(compare_runs(every))

    assert said(ring=1000.0, star=1001.0) == (
        "Against ring (1.00k samples/s), there is no difference for star (1.00k samples/s)."
    )
    assert said(ring=1000.0, star=1001.0, tree=1002.0, direct=1003.0) == (
        "Against ring (1.00k samples/s), there is no difference for direct (1.00k samples/s), tree (1.00k samples/s) "
        "and star (1.00k samples/s)."
    )
    assert said(ring=1000.0, star=1001.0, tree=2) == (
        "Against ring (1.00k samples/s), there is no difference for star (1.00k samples/s); there is no verdict on "
        "tree (100 samples/s), as that takes repeats."
    )
    pattern = r"Against ring \(1.00k samples/s\), star is faster, 2.00× \(1.9\d–2.0\d\) at 2.00k samples/s"
    assert re.fullmatch(rf"{pattern}\.", said(ring=1000.0, star=2000.0))
    slower = r"; tree is slower, 0.50× \(0.4\d–0.5\d\) at 500 samples/s\."
    assert re.fullmatch(pattern + slower, said(ring=1000.0, star=2000.0, tree=500.0))


def test_a_run_alone_has_no_verdict(runs):
    assert verdict_sentence(compare_runs(runs("ring", around(100.0)))) == (
        "There is nothing to compare besides ring (100 samples/s)."
    )
    assert verdict_sentence(compare_runs([])) == "There is nothing to compare, as no run came to its end."


def test_a_title_is_the_verdict_of_the_command_line_in_brief_if_it_is_long(runs):
    few = compare_runs(contest_of(runs, 1, ring=100, star=50))
    assert verdict_title(few.contests[0]) + "." == verdict_sentence(few)
    names = [f"strategy{n}" for n in range(6)]
    rates = {name: 200 + 10 * n for n, name in enumerate(names)}
    (contest,) = compare_runs(contest_of(runs, 2, ring=100, **rates), "ring").contests
    assert len(contest_clause(contest)) > LONGEST
    assert verdict_title(contest).startswith("Against ring (100 samples/s), strategy5 is faster, 2.50×")
    assert verdict_title(contest).endswith(" at 250 samples/s, and so are 5 more")
    (once,) = compare_runs([run for name in names for run in runs(name, [100.0], workers=4)]).contests
    assert verdict_title(once) == "There is no verdict on 6 strategies, as that takes repeats"
