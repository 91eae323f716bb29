"""Every synchronous strategy computes what one process would, and the same command gives the same bits."""

import pytest

from common.records.stage_clock import STAGES

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SYNCHRONOUS = {"single", "ps-bsp", "star", "ring", "tree"}
TOLERANCE = 1e-4  # relative, after 50 steps with momentum


def demo(box, workers, *words, steps=50):
    """All strategies on the same work: each one's summary, by name."""
    options = ("--workers", workers, "--steps", steps, "--seed", 1, "--repeats", 1, "--results", box.results, *words)
    done = box.run("demo", *options, "--json")
    assert (done.code, done.errors) == (0, done.errors[:1]), done.err
    return {run["strategy"]: run for run in done.json()["runs"]}


def bits(runs):
    """The final parameters of every worker, by strategy."""
    return {strategy: run["params_sha256"] for strategy, run in runs.items()}


def assert_equivalent(runs, workers):
    """All on the same samples; the synchronous ones with the same parameters, on all of their workers."""
    assert runs.keys() == {*SYNCHRONOUS, "noop"}
    assert len({run["ledger_sha256"] for run in runs.values()}) == 1
    assert all(list(run["stage_seconds"]) == list(STAGES) for run in runs.values())
    for strategy in SYNCHRONOUS:
        run = runs[strategy]
        assert run["verdict"] == ("reference" if strategy == "single" else "same"), strategy
        assert run["deviation"] <= TOLERANCE, strategy
        assert len(run["params_sha256"]) == workers, strategy
        assert len(set(run["params_sha256"])) == 1, strategy


@pytest.mark.parametrize(
    ("workers", "words"),
    [(2, ("--transport", "tcp")), (3, ("--servers", 2, "--transport", "ipc"))],
    ids=["2 workers, tcp", "3 workers, 2 servers, ipc"],
)
def test_strategies_agree_and_the_same_command_gives_the_same_bits(box, workers, words):
    first, second = (demo(box, workers, *words) for _ in range(2))
    assert_equivalent(first, workers)
    assert bits(first) == bits(second)
    assert len(set(first["noop"]["params_sha256"])) == workers  # without synchronisation they do drift apart


def test_strategies_agree_on_five_workers_and_three_servers(box):
    assert_equivalent(demo(box, 5, "--servers", 3), 5)


def test_one_worker_is_the_single_process_whatever_the_strategy(box):
    runs = demo(box, 1, steps=5)
    assert_equivalent(runs, 1)
    assert len({run["params_sha256"][0] for run in runs.values()}) == 1
