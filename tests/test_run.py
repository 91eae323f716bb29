"""A run is read as it was written, and a damaged file is named in one line."""

import math
import shutil

import pytest
from runs import SECONDS, WORKERS, fail, worker_row, write_rows, write_run

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.format.colours import STAGE_COLOURS
from experiments.runs.find import load_run
from experiments.runs.run import hidden_seconds_per_step, stage_seconds_per_step
from experiments.schema.documents import Environment

STEP = sum(SECONDS.values())


def append(folder, text, rank=0):
    with (folder / "ranks" / f"{rank}-worker.jsonl").open("a") as file:
        file.write(text)


def test_a_complete_run_is_read_with_its_rows_by_role_and_rank(tmp_path):
    folder = write_run(tmp_path, "ps-bsp", steps=3)
    update = {"step": 0, "server": 10, "began": 1.0, "ended": 2.0, "seconds": SECONDS}
    write_rows(folder, 10, [update], role="server")
    run = load_run(folder)
    assert (run.path, run.strategy, run.status) == (folder, "ps-bsp", "ok")
    assert [row.step for row in run.worker_rows[2]] == [0, 1, 2]
    assert list(run.worker_rows) == list(range(WORKERS))
    assert [(rank, row.ended) for rank, (row,) in run.server_rows.items()] == [(10, 2.0)]


def test_rows_are_not_read_before_they_are_asked_for(tmp_path):
    folder = write_run(tmp_path)
    append(folder, "not JSON\n")
    run = load_run(folder)
    assert run.summary.steps == 20
    with pytest.raises(ConfigError, match=r"0-worker\.jsonl, line 21 is not valid JSON"):
        _ = run.worker_rows


@pytest.mark.parametrize("rest", ['{"step": 20, "wor', '{"step": 20, "loss": 0.1\x00', '"é'])
def test_a_last_line_that_was_cut_short_is_ignored(tmp_path, rest):
    folder = write_run(tmp_path)
    append(folder, rest)
    assert len(load_run(folder).worker_rows[0]) == 20


def test_a_character_that_was_cut_in_two_is_ignored(tmp_path):
    folder = write_run(tmp_path)
    with (folder / "ranks" / "0-worker.jsonl").open("ab") as file:
        file.write('{"cause": "é'.encode()[:-1])
    assert len(load_run(folder).worker_rows[0]) == 20


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1, 2]", "does not hold a JSON object"),
        ("{}", r"is damaged: \$\.step is missing"),
        ('{"step": 3}', r"is damaged: \$\.loss is missing"),
    ],
)
def test_a_worker_line_that_is_no_step_record_is_an_error_with_its_number(tmp_path, line, words):
    folder = write_run(tmp_path, steps=2)
    append(folder, line + "\n")
    with pytest.raises(ConfigError, match=rf"0-worker\.jsonl, line 3 {words}"):
        _ = load_run(folder).worker_rows


@pytest.mark.parametrize(
    ("key", "value"),
    [("step", "x"), ("began", None), ("ended", math.nan), ("loss", "x"), ("seconds", 5), ("seconds", {"train": "x"})],
)
def test_a_step_record_with_a_value_of_another_kind_is_refused(tmp_path, key, value):
    folder = write_run(tmp_path)
    write_rows(folder, 0, [worker_row(0, 0, SECONDS) | {key: value}, worker_row(1, 0, SECONDS)])
    with pytest.raises(ConfigError, match=rf"0-worker\.jsonl, line 1 is damaged: \$\.{key}"):
        _ = load_run(folder).worker_rows


def test_a_step_whose_loss_is_not_finite_is_a_step(tmp_path):
    folder = write_run(tmp_path)
    write_rows(folder, 0, [worker_row(step, 0, SECONDS) | {"loss": math.nan} for step in range(3)])
    assert [row.loss for row in load_run(folder).worker_rows[0]] == [None] * 3


def test_other_files_among_the_ranks_are_passed_over(tmp_path):
    folder = write_run(tmp_path)
    (folder / "ranks" / "notes.jsonl").write_text("anything")
    assert len(load_run(folder).worker_rows) == WORKERS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not valid JSON"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", "is not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ("{}", r"is damaged: \$\.schema is missing"),
        ('{"schema": 2}', "has schema 2; this version reads schema 1"),
        ('{"schema": 1, "status": "ok"}', r"is damaged: \$\.strategy is missing"),
        ('{"schema": 1, "strategy": "ring"}', r"is damaged: \$\.status is missing"),
    ],
)
def test_a_summary_that_cannot_be_used_is_one_clear_line(tmp_path, text, reason):
    (tmp_path / "summary.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=reason) as raised:
        load_run(tmp_path)
    assert "summary.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_that_a_failed_run_lacks_are_none(tmp_path):
    run = load_run(write_run(tmp_path, **fail()))
    assert run.summary.samples_per_second is None
    assert run.summary.seed == 0
    assert run.sent_per_step("worker") == []


def test_the_environment_is_read_where_it_was_recorded(tmp_path):
    run, other, damaged = (load_run(write_run(tmp_path, name=name)) for name in "abc")
    (run.path / "env.json").write_text('{"cores": 2}')
    (damaged.path / "env.json").write_text("{")
    assert (run.env, other.env) == (Environment(cores=2), Environment())
    with pytest.raises(ConfigError, match=r"env\.json is not valid JSON"):
        _ = damaged.env


def test_bytes_sent_are_per_step(tmp_path):
    sent = {"per_worker": [100, 300], "per_server": []}
    run = load_run(write_run(tmp_path, steps=10, bytes_sent=sent))
    assert run.sent_per_step("worker") == [10.0, 30.0]
    assert run.sent_per_step("server") == []


def test_stage_times_are_means_over_the_steps_after_warm_up(tmp_path):
    folder = write_run(tmp_path, steps=4, warmup_steps=1)
    slow = dict.fromkeys(STAGES, 100.0)
    for worker in range(WORKERS):
        rows = [worker_row(step, worker, slow if step == 0 else SECONDS) for step in range(4)]
        write_rows(folder, worker, rows)
    assert stage_seconds_per_step(load_run(folder)) == pytest.approx(SECONDS)


def test_without_rows_the_stage_times_come_from_the_summary(tmp_path):
    folder = write_run(tmp_path, steps=4)
    shutil.rmtree(folder / "ranks")
    assert stage_seconds_per_step(load_run(folder)) == pytest.approx(SECONDS)
    folder = write_run(tmp_path, steps=4, name="failed", **fail())
    shutil.rmtree(folder / "ranks")
    assert stage_seconds_per_step(load_run(folder)) is None


def test_hidden_seconds_are_counted_likewise(tmp_path):
    folder = write_run(tmp_path, steps=4, warmup_steps=1, seconds={"hidden": 0.5})
    for worker in range(WORKERS):
        hidden = [{"hidden": 9.0 if step == 0 else 0.125 * (worker + step)} for step in range(4)]
        write_rows(folder, worker, [worker_row(step, worker, {**SECONDS, **hidden[step]}) for step in range(4)])
    assert hidden_seconds_per_step(load_run(folder)) == pytest.approx(0.125 * 3.5)
    shutil.rmtree(folder / "ranks")
    assert hidden_seconds_per_step(load_run(folder)) == pytest.approx(0.5)


def test_rows_of_earlier_versions_hide_nothing(tmp_path):
    folder = write_run(tmp_path, steps=1, warmup_steps=0)
    row = worker_row(0, 0, SECONDS)
    del row["hidden_seconds"]
    for worker in range(WORKERS):
        write_rows(folder, worker, [row])
    assert hidden_seconds_per_step(load_run(folder)) == 0.0


def test_every_stage_has_a_colour_of_its_own():
    assert tuple(STAGE_COLOURS) == STAGES
    assert len(set(STAGE_COLOURS.values())) == len(STAGES)
