"""A worker's death that the others survive, where that was asked for; and a straggler, in real processes."""

import pytest

from experiments.runs.find import load_run

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

GOES_ON = ("--on-worker-death", "continue", "--results", "results", "--json")


@pytest.mark.parametrize(
    ("strategy", "culprit", "words"),
    [
        ("ps-async", 1, ("--servers", 2)),
        ("ps-ssp", 0, ("--servers", 1)),
        ("ps-ssp", 2, ("--servers", 2, "--transport", "tcp")),
    ],
)
def test_survivors_finish_and_the_result_names_the_dead(box, strategy, culprit, words):
    steps = 100
    box.start(
        *("run", "--strategy", strategy, "--workers", 3, "--steps", steps, "--train-seconds", 0.05),
        *("--deadline", 20, *words, *GOES_ON),
    )
    box.strike(culprit)
    done = box.end()
    assert done.code == 0, done.err
    summary = box.summary()
    assert (summary["status"], summary["error"], summary["steps_done"]) == ("ok", None, steps)
    (death,) = summary["deaths"]
    assert (death["rank"], death["cause"]) == (culprit, "killed by signal 9 (SIGKILL)")
    assert 4 <= death["step"] < steps
    rows = load_run(box.result()).worker_rows
    survivors = {0, 1, 2} - {culprit}
    assert {rank: len(rows[rank]) for rank in survivors} == dict.fromkeys(survivors, steps)
    assert len(rows[culprit]) in (death["step"], death["step"] + 1)
    assert len(summary["params_sha256"]) == 2
    assert summary["test_accuracy"] > 0.5
    assert (box.result() / "params.npy").exists()


def test_when_all_workers_die_the_run_has_failed(box):
    box.start("run", "--strategy", "ps-async", "--workers", 2, "--steps", 100000, *GOES_ON)
    box.strike(0)
    box.strike(1)
    done = box.end()
    assert done.code == 1
    error, deaths = box.summary()["error"], box.summary()["deaths"]
    assert error["cause"] == "killed by signal 9 (SIGKILL)"
    # Which one goes first is the system's to say; where both go at once, none of them is survived.
    dead = [death["rank"] for death in deaths]
    assert (dead, error["rank"]) in [([], 0), ([0], 1), ([1], 0)]


def test_without_being_asked_to_go_on_a_death_ends_the_run(box):
    box.start("run", "--strategy", "ps-async", "--workers", 2, "--steps", 100000, "--results", "results")
    box.strike(1)
    assert box.end().code == 1
    assert box.summary()["error"]["rank"] == 1
    assert box.summary()["deaths"] == []


def test_a_slow_worker_is_slow_in_its_own_train_stage(box):
    slow = ("--slow-worker", "1:4", "--train-seconds", 0.01)
    done = box.run("run", "--strategy", "noop", "--workers", 2, "--steps", 10, *slow, "--results", "results", "--json")
    assert (done.code, done.json()["slow_worker"], done.json()["train_seconds"]) == (0, "1:4", 0.01)
    trained = [sum(row.seconds.train for row in rows) for rows in load_run(box.result()).worker_rows.values()]
    assert trained[0] >= 0.09  # by sleeping: what a busy machine adds, makes it only longer
    assert trained[1] >= 0.36
