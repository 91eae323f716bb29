"""Damaged results are refused in one line that names the file, and never half understood."""

import json
import math

import pytest
from runs import SECONDS, default_summary, write_run

from common.errors import ConfigError
from experiments.machine.environment import environment
from experiments.runs.kinds import ENVIRONMENT, SUMMARY, damage
from experiments.runs.run import load_run


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("workers", "two", "workers is 'two', which is not a number"),
        ("batch", True, "batch is 'True', which is not a number"),
        ("parameters", 10**400, "which is not a number"),
        ("data", 5, "data is '5', which is not text"),
        ("bytes_sent", 5, "bytes_sent is '5', which is not an object"),
        ("deaths", {}, "deaths is '{}', which is not a list"),
    ],
)
def test_a_summary_of_another_kind_is_damaged(tmp_path, key, value, words):
    folder = write_run(tmp_path, **{key: value})
    with pytest.raises(ConfigError, match="is damaged: ") as refusal:
        load_run(folder)
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 2 * len(str(folder)) + 200


def test_what_is_missing_or_unknown_is_no_damage():
    assert damage({}, SUMMARY) is None
    assert damage({key: None for keys, _, _ in SUMMARY for key in keys}, SUMMARY) is None
    assert damage(default_summary("ring", 20, SECONDS), SUMMARY) is None
    assert damage(environment(), ENVIRONMENT) is None


def test_an_environment_of_another_kind_is_damaged(tmp_path):
    run = load_run(write_run(tmp_path))
    (run.path / "env.json").write_text('{"cores": "two"}')
    with pytest.raises(ConfigError, match=r"env.json is damaged: cores is 'two', which is not a number"):
        run.env  # noqa: B018


def test_a_figure_that_is_not_finite_is_no_figure(tmp_path):
    run = load_run(write_run(tmp_path, samples_per_second=math.inf, final_loss=math.nan))
    assert run.summary["samples_per_second"] is run.summary["final_loss"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("step", "x"), ("began", None), ("ended", math.nan), ("loss", "x"), ("seconds", 5), ("seconds", {"train": "x"})],
)
def test_a_step_record_of_another_kind_is_refused(tmp_path, key, value):
    folder = write_run(tmp_path)
    file = folder / "ranks" / "0-worker.jsonl"
    first, *rest = map(json.loads, file.read_text().splitlines())
    file.write_text("\n".join(json.dumps(row) for row in ({**first, key: value}, *rest)) + "\n")
    with pytest.raises(ConfigError, match="line 1: not a step record"):
        load_run(folder).rows  # noqa: B018


def test_a_loss_that_is_not_finite_is_a_step_all_the_same(tmp_path):
    folder = write_run(tmp_path)
    file = folder / "ranks" / "0-worker.jsonl"
    rows = [{**json.loads(line), "loss": math.nan} for line in file.read_text().splitlines()]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert len(load_run(folder).rows["worker", 0]) == len(rows)
