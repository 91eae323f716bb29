"""`run --transport virtual`: the bits of a real run, a folder like that of a real run, and ends as prompt."""

import json
import os
import signal
from pathlib import Path

import pytest
from virtual_jobs import run

from system.leftovers import PROMPT

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

LINK = ("--transport", "virtual", "--link", "1gbit,50us")
STEPS = 8
MORE = {"direct": ("direct",), "ps-ssp": ("ps-ssp", "--strategy.staleness", 0)}  # synchronous, and not in the demo

BROKEN = """
from allreduce.ring import Ring

class Broken(Ring):
    def synchronize(self, ctx, bucket):
        if (ctx.rank, ctx.place.step) == (2, 3):
            raise ZeroDivisionError("planted")
        super().synchronize(ctx, bucket)

class Stuck(Ring):
    def synchronize(self, ctx, bucket):
        while ctx.place.step == 3:
            pass
        super().synchronize(ctx, bucket)
"""


def curve(folder, summary):
    """What every worker saw, step by step: its samples and its loss, to the last bit; and what it came to."""
    rows = [file.read_text().splitlines() for file in sorted((folder / "ranks").glob("*-worker.jsonl"))]
    steps = [[(row["step"], row["samples"], row["loss"]) for row in map(json.loads, lines)] for lines in rows]
    return steps, set(summary["params_sha256"]), summary["test_accuracy"]


def real_runs(box):
    """The synchronous strategies on four workers: each one's summary, by name."""
    words = ("--workers", 4, "--steps", STEPS, "--seed", 1, "--results", box.results, "--overlap", "off", "--json")
    done = {run["strategy"]: run for run in box.run("demo", *words, "--repeats", 1).json()["runs"]}
    more = {name: box.run("run", "--strategy", *strategy, *words).json() for name, strategy in MORE.items()}
    return done | more


def test_the_bits_are_those_of_a_real_run(box):
    real = real_runs(box)
    del real["noop"]
    assert real.keys() == {"single", "ring", "tree", "star", "ps-bsp", *MORE}
    for strategy, summary in real.items():
        options = {"strategy_options": {"staleness": 0}} if strategy == "ps-ssp" else {}
        ran = run(box.folder / strategy, strategy=strategy, workers=4, steps=STEPS, seed=1, **options)
        worker = ran.reports[0]
        sums = {**worker, "params_sha256": [worker["params_sha256"]]}
        assert curve(ran.folder, sums) == curve(Path(summary["results_dir"]), summary), strategy
        assert sum(worker["bytes_to"].values()) == summary["bytes_sent"]["per_worker"][0], strategy


def test_a_table_and_its_limits_say_that_time_is_virtual_and_the_config_repeats_the_run(box):
    first = box.run("run", *LINK, "--workers", 2, "--steps", 5, "--train-seconds", 0.01, "--results", box.results)
    assert first.code == 0
    said = " ".join(first.out.split())
    assert "transport virtual on a link of 1gbit,50us" in said
    assert "2 workers in virtual time on a link of 1gbit,50us: gradients are real, seconds are predicted" in said
    before = box.summary()
    config = box.result() / "config.yaml"
    again = box.run("run", "--config", config, "--results", box.folder / "again", "--json").json()
    for key in ("params_sha256", "samples_per_second", "stage_seconds", "costs"):
        assert again[key] == before[key], key


def test_a_rank_that_fails_is_named(box):
    box.module("mine", BROKEN)
    done = box.run("run", "--strategy", "mine:Broken", *LINK, "--results", "results")
    assert done.code == 1
    assert done.complaint == ("syncbench: worker rank 2, stage synchronize, step 3: ZeroDivisionError: planted")
    assert box.summary()["status"] == "failed"


def test_a_rank_that_never_waits_again_is_ended_after_the_deadline(box):
    box.module("mine", BROKEN)
    done = box.run("run", "--strategy", "mine:Stuck", *LINK, "--deadline", 2, "--results", "results")
    assert done.code == 1
    assert "stage synchronize, step 3: computed for 2 s of real time" in done.complaint


def test_an_interrupted_run_ends_promptly_and_keeps_its_rows(box):
    agent = box.start("run", *LINK, "--workers", 8, "--steps", 100000, "--results", "results")
    box.await_rows()
    os.killpg(agent.pid, signal.SIGINT)
    done = box.end(PROMPT)
    assert done.code == 130
    assert done.errors == ["syncbench: interrupted; all ranks have ended"]
    assert box.summary()["status"] == "partial"
    assert box.summary()["steps_done"] >= 3


def test_the_demo_tells_what_the_link_of_a_server_costs(box):
    """In virtual time, so the figures are the same on any machine: a server sends a model to each of 16 workers."""
    done = box.run("demo", "--steps", 2, "--repeats", 1)
    assert done.code == 0
    assert "Against ring (16.2k samples/s), ps-bsp is slower, 0.28× at 4.61k samples/s." in done.out
    assert "ps-bsp: server rank 16 sends 10.2 MiB a step, 85.6 ms on its link, of 111 ms" in done.out
