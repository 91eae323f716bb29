"""A sweep from the command line: killed half-way it goes on where it was; a run that fails takes no other with it."""

import dataclasses
import json
import os
import signal
import tempfile

import pytest

from common.errors import ConfigError
from common.runtime.job import Job
from experiments.runs.find import find_runs, half_written
from experiments.sweep.estimate import STEPS, measure
from system.leftovers import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SWEEP = (
    "strategies: [ring]\nyardstick: false\nworkers: 2\ntrain_seconds: 0.03\nsteps: 40\nrepeats: 2\ncalibrate: false\n"
)
BROKEN = """
from allreduce.ring import Ring

class Broken(Ring):
    def synchronize(self, ctx, bucket):
        raise ValueError("planted")
"""


def lines(folder):
    path = folder / "cells.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_sweep_killed_half_way_goes_on_and_ends_as_if_it_had_not_been(box):
    (box.folder / "mine.yaml").write_text(SWEEP)
    agent = box.start("sweep", "mine.yaml", "--results", "results")

    def in_its_second_run():
        done = [folder for folder in box.results.glob("*") if lines(folder)]
        return bool(done) and any(file.read_bytes() for run in half_written(done) for file in run.glob("ranks/*"))

    until(in_its_second_run, box.stderr)
    folder = box.result()
    agent.send_signal(signal.SIGSTOP)  # so that it cannot end before the other has come
    second = box.run("sweep", "--resume", folder)
    assert second.code == 2
    assert "another process is at this sweep" in second.complaint
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    before = lines(folder)

    done = box.run("sweep", "--resume", folder, "--json")
    assert done.code == 0
    assert lines(folder)[: len(before)] == before
    assert len(lines(folder)) == len({(line["cell"], line["repeat"]) for line in lines(folder)}) == 4
    assert {line["status"] for line in lines(folder)} == {"ok"}
    assert sorted(run.path.name for run in find_runs([folder])) == sorted(line["folder"] for line in lines(folder))
    assert {cell["strategy"]: len(cell["runs"]) for cell in done.json()["cells"]} == {"ring": 2, "noop": 2}
    assert len(os.listdir(folder / "aside")) == 1
    assert "set aside: " in done.err


def test_a_run_that_fails_is_told_and_the_others_run(box):
    box.module("broken", BROKEN)
    words = (
        "--workers",
        2,
        "--steps",
        5,
        "--repeats",
        1,
        "--yardstick",
        "false",
        "--calibrate",
        "false",
        "--results",
        "results",
    )
    done = box.run("sweep", "--strategies", "broken:Broken,ring", *words)
    assert done.code == 1
    assert "failed: broken:Broken, repeat 1: worker rank" in done.complaint
    assert "planted" in done.complaint
    assert sorted(line["status"] for line in lines(box.result())) == ["failed", "ok", "ok"]
    assert f"syncbench compare {box.result().relative_to(box.folder)}" in done.out


def test_a_step_is_measured_in_a_process_that_leaves_nothing_behind(box, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(box.tmp))
    small, large = (Job("single", 1, 0, batch=batch, steps=STEPS, hidden=(8,)) for batch in (8, 16))
    (seconds, nbytes), (_, same) = measure([small, large])
    assert seconds > 0
    assert nbytes == same == 4 * (64 * 8 + 8 + 8 * 10 + 10)
    with pytest.raises(ConfigError, match="unknown data set"):
        measure([dataclasses.replace(small, data="dogits")])
