"""`syncbench run`: one document on standard output, one folder with everything in it, numbers that follow formulas."""

import functools
import hashlib

import numpy as np
import pytest
import yaml

from common.records.stage_clock import STAGES
from experiments.config import RunOptions, plan
from experiments.config.options.network import transport_named
from experiments.config.strategies import create
from experiments.runs.find import load_run
from experiments.schema.files import to_builtins
from system.leftovers import Box, parse

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

STEPS = 50
PARAMETERS = (64 * 64 + 64) + (64 * 10 + 10)  # of the default model: 64 pixels, 64 hidden units, 10 digits

WRONG_MEAN = """
import numpy as np
from allreduce.ring import Ring

class WrongMean(Ring):
    def synchronize(self, ctx, bucket):
        print("a strategy may print")
        super().synchronize(ctx, bucket)
        np.multiply(bucket.grad, ctx.size / (ctx.size + 1), out=bucket.grad)
"""


NO_JSON = """
from allreduce.ring import Ring

class Noted(Ring):
    def notes(self):
        return {"link": object()}
"""


@pytest.fixture(scope="module")
def run():
    """Run a strategy, once for each set of words; all results share one folder, in which nothing is ever touched."""
    with Box() as box:
        seen = {}

        @functools.cache
        def run(strategy, workers, *words):
            options = ("--workers", workers, "--steps", STEPS, "--seed", 1, "--results", box.results, *words)
            done = box.run("run", "--strategy", strategy, *options, "--json")
            now = contents(box.results)
            assert seen.items() <= now.items(), "a run has changed another one's folder"
            seen.update(now)
            return done

        run.box = box
        yield run


def contents(folder):
    """The hash of every file in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("strategy", "workers", "words", "servers"),
    [
        ("ring", 4, (), 0),
        ("ps-bsp", 2, ("--servers", 1), 1),
        ("ps-bsp", 3, ("--servers", 3), 3),
        ("star", 5, (), 0),
        ("tree", 3, (), 0),
        ("single", 4, (), 0),
        ("noop", 1, (), 0),
    ],
)
def test_a_run_prints_its_summary_and_leaves_a_complete_folder(run, strategy, workers, words, servers):
    done = run(strategy, workers, *words)
    summary = done.json()
    streams = 1 if strategy == "single" else workers  # single is one process for all

    assert (done.code, done.errors) == (0, [])
    expected = {
        "schema": 1,
        "status": "ok",
        "strategy": strategy,
        "workers": workers,
        "servers": servers,
        "steps": STEPS,
        "steps_done": STEPS,
        "batch": 32 * workers,
        "parameters": PARAMETERS,
        "error": None,
    }
    assert {key: summary[key] for key in expected} == expected
    assert len(summary["params_sha256"]) == workers
    assert len(set(summary["params_sha256"])) == 1
    assert len(summary["ledger_sha256"]) == 64
    assert list(summary["stage_seconds"]) == list(STAGES)
    assert summary["samples_per_second"] > 0
    assert 0 < summary["final_loss"] < 1 < np.log(10)  # of the untrained model
    assert 0.7 < summary["test_accuracy"] <= 1

    promise = create(strategy, {}).bytes_sent
    a_step = [promise(rank, workers, servers, PARAMETERS) or 0 for rank in range(workers + servers)]
    assert summary["bytes_sent"] == {
        "per_worker": [STEPS * sent for sent in a_step[:workers]],
        "per_server": [STEPS * sent for sent in a_step[workers:]],
    }

    found = load_run(summary["results_dir"])
    roles = [("worker", rank) for rank in range(streams)] + [("server", workers + k) for k in range(servers)]
    files = {"summary.json", "config.yaml", "env.json", "params.npy"}
    files |= {f"ranks/{rank}-{role}.jsonl" for role, rank in roles}
    files |= {f"ranks/{rank}-{role}.events.jsonl" for role, rank in roles if role == "server"}
    assert {str(path.relative_to(found.path)) for path in found.path.rglob("*") if path.is_file()} == files
    assert to_builtins(found.summary) == summary
    assert max(found.path.rglob("*"), key=lambda path: path.stat().st_mtime_ns).name == "summary.json"
    rows = found.worker_rows | found.server_rows
    assert all([row.step for row in rows[rank]] == list(range(STEPS)) for _, rank in roles)
    params = np.load(found.path / "params.npy", allow_pickle=False)
    assert hashlib.sha256(params.tobytes()).hexdigest() == summary["params_sha256"][0]
    assert found.env.transport == summary["transport"] == transport_named("auto")


def test_the_configuration_that_a_run_leaves_repeats_it(run):
    """The resolved options are a configuration file; the rest of that promise is test_equivalence's."""
    summary = run("ring", 4).json()
    values = yaml.safe_load((load_run(summary["results_dir"]).path / "config.yaml").read_text())
    asked = RunOptions(strategy="ring", workers=4, steps=STEPS, seed=1)
    assert plan(RunOptions(**{**values, "hidden": tuple(values["hidden"])})).job == plan(asked).job


def test_runs_on_the_same_samples_compare_as_the_same(run):
    folders = [run(strategy, 4).json()["results_dir"] for strategy in ("single", "ring")]
    done = run.box.run("compare", *folders, "--json")
    reference, ring = done.json()["runs"]

    assert (done.code, done.err) == (0, "")
    assert reference["verdict"] == "reference"
    assert ring["verdict"] == "same"
    assert ring["deviation"] <= 1e-4


def test_a_wrong_strategy_is_found_out_by_compare_and_what_it_prints_stays_out_of_the_document(run):
    run.box.module("wrong_mean", WRONG_MEAN)
    wrong, single = run("wrong_mean:WrongMean", 4), run("single", 4)
    assert wrong.code == 0
    assert wrong.json()["ledger_sha256"] == single.json()["ledger_sha256"]
    assert "a strategy may print" in wrong.err

    done = run.box.run("compare", single.json()["results_dir"], wrong.json()["results_dir"], "--json")
    assert done.code == 3
    assert [one["verdict"] for one in done.json()["runs"]] == ["reference", "differs"]
    stamp = done.json()["contests"][0]["entries"][1]["refused"]
    assert stamp.startswith("did not compute what single did: its parameters differ from those of single by ")
    shown = run.box.run("compare", single.json()["results_dir"], wrong.json()["results_dir"], "--anyway")
    assert (shown.code, "not comparable" in shown.out) == (0, True)


def test_runs_on_different_samples_are_refused_with_the_reason(run):
    folders = [run("ring", 4).json()["results_dir"], run("tree", 3).json()["results_dir"]]
    done = run.box.run("compare", *folders)
    assert (done.code, done.out) == (3, "")
    assert done.errors == [done.complaint]
    assert "different samples" in done.complaint
    assert "workers 4 and 3" in done.complaint


def test_a_run_says_what_the_strategy_chose_for_people_and_in_its_summary(box):
    done = box.run("run", "--strategy", "auto", "--workers", 2, "--steps", 3, "--results", "results")
    notes = parse((box.result() / "summary.json").read_text())["strategy_notes"]
    assert done.code == 0
    assert [pick["bytes"] for pick in notes["picked"]] == [4 * PARAMETERS]
    assert notes["alpha_seconds"] > 0
    assert f"\nauto {notes['in_words']}\n" in done.out
    assert f"picked {notes['picked'][0]['algorithm']} for 18.8 KiB" in done.out


def test_notes_that_are_no_json_fail_the_run_in_one_line(box):
    box.module("noted", NO_JSON)
    done = box.run("run", "--strategy", "noted:Noted", "--workers", 1, "--steps", 1, "--results", "results")
    assert done.code == 1
    assert "notes() gave what is no JSON object: {'link': <object" in done.complaint


def test_a_diverged_run_fails_and_says_so_in_valid_json(box):
    done = box.run("run", "--workers", 2, "--lr", "1e6", "--json", "--results", "results")
    summary = done.json()
    assert done.code == 1
    assert summary == parse((box.result() / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "training diverged" in summary["error"]["cause"]
    assert done.errors == [done.complaint, f"what was recorded is in {summary['results_dir']}"]
