"""Runs are compared only if they did the same work and computed the same; the others are named, with the reason."""

import pytest
from runs import fail, write_run

from experiments.comparison.compare import compare_runs
from experiments.comparison.wording import verdict_sentence
from experiments.runs.find import load_run


@pytest.fixture
def run(tmp_path):
    """Writes a run with a folder of its own and loads it."""
    count = iter(range(1000))
    return lambda strategy="ring", **fields: load_run(write_run(tmp_path, strategy, name=f"{next(count)}", **fields))


def refused(*runs):
    """Why each entry is refused, by label; only those that are."""
    (contest,) = compare_runs(runs).contests
    return {entry.label: entry.refused for entry in contest.entries if entry.refused}


def test_runs_with_one_ledger_did_the_same_work(run):
    assert refused(run("single"), run("ring", transport="shm"), run("ps-async"), run("noop", params=[7.0, 7.0])) == {}
    assert compare_runs([]).contests == ()


@pytest.mark.parametrize(
    ("changed", "label", "reason"),
    [
        ({"seed": 7}, "star seed 7", "seed 0 and 7"),
        ({"batch": 64}, "star batch 64", "batch 128 and 64"),
        ({"steps_done": 4}, "star", "steps_done 20 and 4"),
        ({"data": "mnist", "workers": 2}, "star 2w data mnist", "data digits and mnist, workers 4 and 2"),
        ({"partition": "dirichlet:0.1"}, "star partition dirichlet:0.1", "partition shuffled and dirichlet:0.1"),
        ({}, "star", "and nothing in the summaries explains it"),
    ],
)
def test_differing_ledgers_are_refused_with_the_explanation(run, changed, label, reason):
    comparison = compare_runs([run("single"), run("ring"), run("star", ledger_sha256="other", **changed)])
    (contest,) = comparison.contests
    assert {entry.label: entry.refused for entry in contest.entries} == {
        "single": None,
        "ring": None,
        label: f"trained on different samples than single: {reason}",
    }
    assert contest.entries[-1].ratio is None
    assert comparison.refusal == f"{label} trained on different samples than single: {reason}"
    assert label in verdict_sentence(comparison)


def test_a_pair_of_one_strategy_with_two_seeds_is_refused_too(run):
    assert refused(run("ring"), run("ring", seed=1, ledger_sha256="ef")) == {
        "ring seed 1": "trained on different samples than ring: seed 0 and 1"
    }


def test_without_single_the_samples_of_most_runs_are_right(run):
    odd = run("ring", ledger_sha256="other", steps_done=3)
    assert list(refused(odd, run("star"), run("tree"))) == ["ring"]
    assert list(refused(run("star"), run("tree"), odd, run("single", ledger_sha256="other"))) == ["star", "tree"]


def test_one_repeat_on_other_samples_spoils_the_entry(run):
    assert list(refused(run("single"), run("ring"), run("ring", ledger_sha256="other"))) == ["ring"]


def test_a_run_without_a_ledger_cannot_be_compared(run):
    assert refused(run("single"), run("star", ledger_sha256=None)) == {"star": "has no sample ledger"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model": "cnn"}, "trained a different model than ring: model mlp and cnn"),
        ({"parameters": 5}, "trained a different model than ring: parameters 4810 and 5"),
        ({"data": "clicks:skew=2.0"}, "trained on different data than ring: data digits and clicks:skew=2.0"),
        ({"slow_worker": "3:4"}, "was not asked to do the same as ring: slow_worker none and 3:4"),
        ({"optimizer": {"name": "adam"}}, "was not asked to do the same as ring: optimizer name=sgd and name=adam"),
    ],
)
def test_other_work_is_refused_although_the_samples_have_the_same_numbers(run, changed, reason):
    assert list(refused(run("ring"), run("tree"), run("star", **changed)).values()) == [reason]


def test_other_content_under_the_same_name_is_refused(run):
    data = {"data": "npz:mine.npz", "data_sha256": "ab" * 32}
    runs = run("single", **data), run("ring", **data), run("star", **data | {"data_sha256": "cd" * 32})
    hashes = "data_sha256 abababab and cdcdcdcd"
    why = f"trained on different data than single: the content of npz:mine.npz has changed, {hashes}"
    assert refused(*runs) == {"star": why}
    assert refused(*runs[:2], run("tree", **data | {"data_sha256": None})) == {}  # written before there were hashes


def test_parameters_beyond_the_tolerance_are_refused_with_their_deviation(run):
    found = refused(run("single"), run("ring", params=[3.0, 4.0001]), run("star", params=[3.0, 4.5]))
    assert found == {
        "star": "did not compute what single did: its parameters differ from those of single by 1e-01, where 1e-04 is "
        "allowed"
    }


def test_every_repeat_is_checked(run):
    right, wrong = run("ring"), run("ring", params=[3.0, 4.5])
    assert list(refused(run("single"), right, right, wrong)) == ["ring"]
    assert list(refused(run("ring"), run("ring", params=[3.0, 4.5]), run("noop"))) == ["ring"]  # the yardstick's own


def test_a_run_that_cannot_be_checked_is_refused(run):
    unproven = run("star")
    (unproven.path / "params.npy").unlink()
    (reason,) = refused(run("single"), unproven).values()
    assert reason.startswith("cannot be checked: ")
    assert reason.endswith("has no params.npy")


def test_a_strategy_that_promises_nothing_is_not_refused(run):
    away = {"params": [9.0, 9.0]}
    assert refused(run("single"), run("ps-async", **away), run("noop", **away), run("local-sgd", **away)) == {}


def test_runs_that_failed_are_listed_and_in_no_contest(run):
    lost = run("star", **fail())
    comparison = compare_runs([run("single"), run("ring"), lost])
    assert comparison.failed == (lost,)
    assert [entry.label for entry in comparison.contests[0].entries] == ["single", "ring"]
    assert compare_runs([lost]).contests == ()
