"""The limits of runs follow from their records: every number in a sentence follows from a formula."""

import json

import pytest
from runs import PARAMETERS, SECONDS, WORKERS, worker_row, write_rows, write_run

from experiments.comparison.compare import compare_runs
from experiments.report import bottlenecks as module
from experiments.report.bottlenecks import busiest, cores, limits, shares, stragglers
from experiments.runs.find import load_run

MODEL = 4 * PARAMETERS  # bytes


def with_env(folder, **env):
    (folder / "env.json").write_text(json.dumps({"schema": 1, **env}))
    return load_run(folder)


def contest_of(folders):
    (contest,) = compare_runs([load_run(folder) for folder in folders]).contests
    return contest


def lines(folders):
    contest = contest_of(folders)
    return limits(contest, shares(contest.entries))


@pytest.mark.parametrize(
    ("strategy", "env", "words"),
    [
        ("ps-bsp", {"cores": 2}, "5 ranks share 2 cores, 2.5 on each"),
        ("ps-bsp", {"cores": 5}, "5 ranks on 5 cores: no rank waits"),
        ("ring", {"cores": 4}, "4 ranks on 4 cores: no rank waits"),
        ("ring", {"cores": 4, "threads_per_rank": 2}, "4 ranks of 2 threads share 4 cores, 2 on each"),
        ("ring", {"cores": 1}, "4 ranks share 1 core, 4 on each"),
        ("ring", {}, "4 ranks; the number of their cores is not recorded"),
    ],
)
def test_ranks_are_weighed_against_cores(tmp_path, strategy, env, words):
    assert cores(with_env(write_run(tmp_path, strategy), **env)).startswith(words)


def test_in_virtual_time_ranks_do_not_compete_for_cores(tmp_path):
    run = with_env(write_run(tmp_path, "ring", transport="virtual"), cores=1)
    assert cores(run) == "Time is virtual: ranks do not compete for cores."


def test_shares_of_a_step_are_those_of_its_stages(tmp_path):
    seconds = {"train": 0.006, "synchronize": 0.0034, "hidden": 0.001}
    (share,) = shares(contest_of([write_run(tmp_path, "ring", seconds=seconds)]).entries)
    assert (share.train, share.exposed, share.hidden) == (pytest.approx(0.6), pytest.approx(0.34), pytest.approx(0.1))


def test_synchronisation_within_train_has_no_share(tmp_path):
    (share,) = shares(contest_of([write_run(tmp_path, "ddp", synchronizes_in="train")]).entries)
    assert share.train is not None
    assert share.exposed is share.hidden is None


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("ps-bsp", ("server rank 4", WORKERS * MODEL, WORKERS)),
        ("star", ("worker rank 0", 3 * MODEL, 3)),
        ("ring", ("all alike", MODEL * 3 // 2, 1)),
        ("single", ("nobody sends", 0, 1)),
    ],
)
def test_the_busiest_rank_is_named_with_its_bytes_and_how_many_times_the_others(tmp_path, strategy, expected):
    assert busiest(load_run(write_run(tmp_path, strategy))) == expected


def test_the_larger_of_both_ways_counts(tmp_path):
    counts = {"per_worker": [10, 10, 10, 10], "per_server": []}
    into_worker_1 = {"per_worker": [0, 40, 0, 0], "per_server": []}
    run = load_run(write_run(tmp_path, "ring", steps=10, bytes_sent=counts, bytes_received=into_worker_1))
    assert busiest(run) == ("worker rank 1 (receiving)", 4.0, 4.0)


def test_a_rank_that_is_busiest_by_receiving_says_so(tmp_path):
    """A tree's: the chart of what is sent has two on top, of what is moved there are three."""
    sent = {"per_worker": [20, 20, 10, 10], "per_server": []}
    received = {"per_worker": [20, 10, 20, 10], "per_server": []}
    folder = write_run(tmp_path, "tree", steps=10, bytes_sent=sent, bytes_received=received)
    assert busiest(load_run(folder)) == ("3 of 4 ranks (sending or receiving)", 2.0, 2.0)
    assert lines([folder])["Busiest rank"].startswith("In tree, 3 of 4 ranks (sending or receiving) move 2 B a step")


def test_several_that_are_equally_busy_are_counted(tmp_path):
    counts = {"per_worker": [30, 30, 10, 10], "per_server": []}
    run = load_run(write_run(tmp_path, "tree", steps=10, bytes_sent=counts, bytes_received=counts))
    assert busiest(run) == ("2 of 4 ranks", 3.0, 3.0)


@pytest.mark.parametrize("nothing", [{"own_transport": "gloo"}, {"bytes_sent": None}, {"steps_done": 0}])
def test_bytes_that_were_not_counted_are_not_invented(tmp_path, nothing):
    assert busiest(load_run(write_run(tmp_path, "ring", **nothing))) == ("not counted", None, 1.0)


def test_the_traffic_of_the_busiest_link_is_compared_with_a_gigabit(tmp_path):
    (share,) = shares(contest_of([write_run(tmp_path, "ps-bsp")]).entries)
    assert share.link_seconds == pytest.approx(8 * WORKERS * MODEL / 1e9)


def test_all_of_it_together(tmp_path):
    found = lines([
        write_run(tmp_path, "ring", samples_per_second=8000.0),
        write_run(tmp_path, "ps-bsp", samples_per_second=5000.0, seconds={"synchronize": 0.0074}),
        write_run(tmp_path, "noop", samples_per_second=10000.0, seconds={"synchronize": 0.0}),
    ])  # fmt: skip
    assert found["Ceiling"].startswith("noop, which synchronises nothing, does 10.0k samples/s. Of that, ring 80%, ps-")
    assert "35% of a step in ring, and up to 74% in ps-bsp. None of it is hidden" in found["Exposed synchronisation"]
    assert found["Busiest rank"] == (
        "In ps-bsp, server rank 4 moves 75.2 KiB a step (alone 0.616 ms on 1 Gbit/s), 4.0 times as much as the others. "
        "Its link is the first to be full."
    )
    assert "Stragglers" not in found


def test_without_noop_no_ceiling_is_claimed(tmp_path):
    assert "is not known" in lines([write_run(tmp_path, "ring"), write_run(tmp_path, "star")])["Ceiling"]


def test_more_than_the_ceiling_is_called_noise(tmp_path):
    fast = write_run(tmp_path, "ring", samples_per_second=11000.0)
    found = lines([fast, write_run(tmp_path, "noop", samples_per_second=10000.0)])
    assert "noise" in found["Ceiling"]


def test_hidden_synchronisation_is_named(tmp_path):
    found = lines([write_run(tmp_path, "ring", seconds={"hidden": 0.001, "train": 0.002})])
    assert "runs beside training" in found["Exposed synchronisation"]


def test_equally_busy_links_have_no_busiest_rank(tmp_path):
    assert lines([write_run(tmp_path, "ring")])["Busiest rank"].startswith("All links are equally busy")


def test_a_straggler_is_named_as_planned_and_as_measured(tmp_path):
    folder = write_run(tmp_path, "ring", slow_worker="3:4", train_seconds=0.02)
    write_rows(folder, 3, [worker_row(step, 3, {**SECONDS, "train": 4 * SECONDS["train"]}) for step in range(9)])
    text = stragglers(contest_of([folder]).entries)
    assert text.startswith("On purpose: training takes 20 ms, on worker 3 4× as long.")
    assert text.endswith("in ring, worker rank 3 trains 4.0 times as long as the median worker.")


def test_training_that_is_slow_in_every_worker_is_no_straggler(tmp_path):
    folder = write_run(tmp_path, "ring", train_seconds=0.02)
    assert stragglers(contest_of([folder]).entries) == ""


def test_a_little_unevenness_is_no_straggler(tmp_path):
    folder = write_run(tmp_path, "ring")
    slower = {**SECONDS, "train": 0.99 * module.NOTABLE * SECONDS["train"]}
    write_rows(folder, 3, [worker_row(step, 3, slower) for step in range(9)])
    assert stragglers(contest_of([folder]).entries) == ""


def test_the_run_with_the_most_processes_stands_for_the_cores(tmp_path):
    folders = [write_run(tmp_path, "ring"), write_run(tmp_path, "ps-bsp")]
    for folder in folders:
        with_env(folder, cores=2)
    assert lines(folders)["Cores"].startswith("5 ranks share")
