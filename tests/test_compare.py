"""Repeats, contests and their verdicts: a claim needs repeats, and every ratio has figures beside it."""

import math
import random
from pathlib import Path

import pytest
from contests import CLOSE, around, contest_of, repeats_in
from runs import write_run

from common.errors import ConfigError
from experiments.comparison.compare import compare_runs
from experiments.comparison.load import compare_paths
from experiments.comparison.wording import verdict_sentence
from experiments.metrics.intervals import Interval


@pytest.fixture
def runs(tmp_path):
    return repeats_in(tmp_path)


def entries(comparison):
    """Of the only contest, by label."""
    (contest,) = comparison.contests
    return {entry.label: entry for entry in contest.entries}


def test_runs_of_equal_settings_are_repeats_and_the_middle_one_stands_for_them(runs):
    ring, star = runs("ring", [30.0, 10.0, 20.0]), runs("star", [7.0])
    found = entries(compare_runs([ring[0], star[0], *ring[1:]]))
    assert found["ring"].runs == tuple(ring)
    assert (found["ring"].rates, found["ring"].run) == ((30.0, 10.0, 20.0), ring[2])
    assert found["ring"].rate.middle == 20.0
    assert found["star"].rate == Interval(7.0, 7.0, 7.0)


def test_the_fastest_entry_is_first_and_refused_entries_are_last(runs):
    made = contest_of(runs, 2, noop=9.0, tree=1.0, single=5.0, ring=3.0)
    made += runs("star", [20.0], workers=2, batch=64, ledger_sha256="another")
    (contest,) = compare_runs(made).contests
    assert [entry.label for entry in contest.ranked] == ["ring", "tree", "noop", "single", "star"]


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        ({"transport": "shm"}, "ring shm"),
        ({"strategy_options": {"chunk": 4}}, "ring chunk=4"),
        ({"bucket": 1024, "overlap": "on"}, "ring bucket=1KiB overlap=on"),
        ({"bucket": 1024, "overlap": "on", "automatic": ["bucket", "overlap"]}, "ring"),
        ({"checkpoint_every": 5}, "ring checkpoint every 5"),
        ({"sparse": True}, "ring #2"),
    ],
)
def test_strategies_may_differ_in_their_settings_within_a_contest(runs, changed, label):
    found = entries(compare_runs([*runs("ring", [1.0]), *runs("ring", [2.0], **changed)]))
    first, second = found.values()
    assert first.label.startswith("ring")
    assert (second.label, second.refused) == (label, None)


def test_a_sweep_is_a_contest_for_each_number_of_workers_in_order(runs):
    big, small = (contest_of(runs, workers, single=100, noop=200, ring=150, star=90) for workers in (4, 2))
    comparison = compare_runs([*big, *small])
    assert comparison.axes == {"workers": (2, 4)}  # the batch only follows
    assert [contest.setting["workers"] for contest in comparison.contests] == [2, 4]
    for contest in comparison.contests:
        assert [entry.label for entry in contest.entries] == ["single", "noop", "ring", "star"]
        assert contest.baseline == "ring"
        assert not any(entry.refused for entry in contest.entries)
    assert comparison.refusal is None


def test_a_batch_that_does_not_follow_the_workers_is_an_axis(runs):
    every = [
        run
        for batch in (64, 32)
        for name in ("ring", "star")
        for run in runs(name, [1.0], batch=batch, ledger_sha256=f"{batch}")
    ]
    assert compare_runs(every).axes == {"batch": (32, 64)}


def test_one_strategy_on_growing_numbers_of_workers_is_a_curve_and_not_refused(runs):
    comparison = compare_runs([run for workers in (1, 2, 4) for run in contest_of(runs, workers, ring=100.0 * workers)])
    assert comparison.axes == {"workers": (1, 2, 4)}
    assert comparison.refusal is None
    assert [len(contest.entries) for contest in comparison.contests] == [1, 1, 1]


def test_a_contest_with_one_cell_left_is_still_a_contest(runs):
    comparison = compare_runs([*contest_of(runs, 2, single=1, ring=2, star=3), *contest_of(runs, 4, ring=4)])
    assert [len(contest.entries) for contest in comparison.contests] == [3, 1]
    assert comparison.refusal is None


def test_another_strategy_on_another_number_of_workers_is_refused(runs):
    comparison = compare_runs([*contest_of(runs, 4, ring=1), *contest_of(runs, 3, tree=1)])
    assert comparison.refusal == "tree 3w trained on different samples than ring: batch 128 and 96, workers 4 and 3"


def test_ratios_are_to_the_baseline_and_have_an_interval(runs):
    found = entries(compare_runs([*runs("ring", around(200.0)), *runs("star", around(100.0))], baseline="star"))
    assert found["star"].ratio == Interval(1.0, 1.0, 1.0)
    assert found["ring"].ratio.middle == pytest.approx(2.0)
    assert 1.8 < found["ring"].ratio.low < 2.0 < found["ring"].ratio.high < 2.2
    assert (found["ring"].finding, found["star"].finding) == ("faster", None)


def test_equal_throughput_is_no_difference(runs):
    found = entries(compare_runs([*runs("ring", around(100.0)), *runs("star", around(101.0))]))
    assert found["star"].finding == "no difference"


def test_a_single_repeat_has_a_ratio_and_no_verdict(runs):
    comparison = compare_runs([*runs("ring", [100.0]), *runs("star", around(300.0))])
    star = entries(comparison)["star"]
    assert (star.ratio, star.finding) == (Interval(3.0, 3.0, 3.0), None)
    assert verdict_sentence(comparison) == (
        "There is no verdict on ring (100 samples/s) and star (300 samples/s), as that takes repeats."
    )


@pytest.mark.parametrize(
    ("names", "asked", "baseline"),
    [
        (["single", "noop", "star", "ring"], None, "star"),
        (["single", "noop", "star"], None, "single"),
        (["noop", "star"], None, "star"),
        (["single", "star", "ring"], "ring", "ring"),
        (["single", "noop"], None, "single"),
    ],
)
def test_the_baseline_is_the_first_contender_or_the_one_asked_for(runs, names, asked, baseline):
    (contest,) = compare_runs([run for name in names for run in runs(name, [1.0])], asked).contests
    assert contest.baseline == baseline
    assert contest.reference.label == baseline


def test_a_missing_baseline_is_one_line_with_the_known_ones(runs):
    with pytest.raises(ConfigError, match=r"no baseline 'rign' among these runs.*ring"):
        compare_runs(runs("ring", [1.0]), "rign")


def test_a_contest_without_the_baseline_has_no_ratios_and_a_warning(runs):
    comparison = compare_runs(
        [*contest_of(runs, 2, ring=1, star=2), *contest_of(runs, 4, tree=1, star=2)], baseline="ring"
    )
    with_it, without = comparison.contests
    assert (with_it.baseline, without.baseline, without.reference) == ("ring", "", None)
    assert all(entry.ratio is None for entry in without.entries)
    assert "the baseline ring is not in this contest: no ratios" in without.warnings


def test_the_share_is_of_the_ceiling_over_the_same_transport(runs):
    every = [
        *runs("noop", [200.0]),
        *runs("noop", [400.0], transport="shm"),
        *runs("ring", [100.0]),
        *runs("star", [100.0], transport="shm"),
        *runs("single", [900.0]),
    ]
    shares = [entry.share for entry in compare_runs(every).contests[0].entries]
    assert shares == [1.0, 1.0, 0.5, 0.25, None]  # nothing bounds one process


def test_figures_are_per_worker_and_per_process_used(runs):
    found = entries(compare_runs([*runs("ps-bsp", [100.0]), *runs("single", [100.0])]))
    assert (found["ps-bsp"].per_worker, found["ps-bsp"].per_process) == (25.0, 20.0)  # 4 workers, 1 server
    assert (found["single"].per_worker, found["single"].per_process) == (None, 100.0)


def test_a_run_too_short_for_a_throughput_is_an_entry_without_figures(runs):
    comparison = compare_runs([*runs("ring", [100.0]), *runs("star", [None])])
    star = entries(comparison)["star"]
    assert (star.rates, star.rate, star.ratio) == ((), Interval(0.0, 0.0, 0.0), None)
    assert (
        "star has no throughput in 1 of 1 runs: they were too short, or the workers never worked at the same time"
        in comparison.contests[0].warnings
    )


def test_equal_runs_from_two_folders_are_compared_and_are_no_repeats(tmp_path):
    for folder, rate in (("before", 100.0), ("after", 150.0)):
        for repeat, factor in enumerate(CLOSE):
            write_run(tmp_path / folder, "ring", name=f"{repeat}-ring", samples_per_second=rate * factor)
    write_run(tmp_path / "after", "star", name="star", samples_per_second=50.0)
    both = [str(tmp_path / folder) for folder in ("before", "after")]
    found = entries(compare_paths(both))
    assert [len(entry.runs) for entry in found.values()] == [3, 3, 1]
    assert list(found) == ["ring (before)", "ring (after)", "star"]
    assert found["ring (after)"].finding == "faster"
    assert entries(compare_paths(both, "ring (after)"))["ring (before)"].finding == "slower"
    one_by_one = [str(path) for folder in both for path in Path(folder).iterdir()]
    assert len(entries(compare_paths(one_by_one))["ring"].runs) == 6


def test_two_sets_of_runs_of_one_strategy_are_no_difference_nine_times_in_ten(tmp_path):
    source, findings = random.Random(11), []
    for attempt in range(10):
        folders = [tmp_path / f"{attempt}{side}" for side in "ab"]
        for folder in folders:
            for repeat in range(5):
                rate = 1000 * math.exp(source.gauss(0, 0.05))
                write_run(folder, "ring", steps=1, name=f"{repeat}", samples_per_second=rate)
        _, second = entries(compare_paths([str(folder) for folder in folders])).values()
        findings.append(second.finding)
    assert findings.count("no difference") >= 9


def test_in_virtual_time_with_training_of_a_given_length_one_run_is_enough(runs):
    exact = {"transport": "virtual", "link": "1gbit,50us", "train_seconds": 0.02}
    comparison = compare_runs([*runs("ring", [2.0], **exact), *runs("star", [1.0], **exact)])
    assert entries(comparison)["star"].finding == "slower"
    assert verdict_sentence(comparison) == "Against ring (2 samples/s), star is slower, 0.50× at 1 samples/s."
    unsaid = {**exact, "train_seconds": 0.0}
    assert (
        entries(compare_runs([*runs("ring", [2.0], **unsaid), *runs("star", [1.0], **unsaid)]))["star"].finding is None
    )


def test_the_strategy_that_a_sweep_names_first_is_its_baseline(runs, tmp_path):
    runs("star", [1.0]), runs("ring", [2.0])
    assert compare_paths([str(tmp_path)]).contests[0].baseline == "star"
    for written in ("[ring, star]", "[{name: ring, servers: 1}, star]"):
        (tmp_path / "sweep.yaml").write_text(f"strategies: {written}\n")
        assert compare_paths([str(tmp_path)]).contests[0].baseline == "ring"
    (tmp_path / "sweep.yaml").write_text("strategies: [tree]\n")
    assert compare_paths([str(tmp_path)]).contests[0].baseline == "star"
    assert compare_paths([str(tmp_path)], "star").contests[0].baseline == "star"
