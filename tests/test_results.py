"""A result folder is read as it was written, half-written ones included, and a damaged one is named in one line."""

import json
import math
import shutil

import numpy as np
import pytest
from runs import BATCH, SECONDS, WORKERS, fail, loss_at, summary, worker_row, write_rows, write_run

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.runs.labels import labels
from experiments.runs.run import (
    STAGE_COLOURS,
    Run,
    ceiling,
    find_runs,
    half_written,
    hidden_seconds_per_step,
    load_run,
    loss_curve,
    smooth,
    stage_seconds_per_step,
)
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


def test_a_missing_folder_and_a_half_written_run_are_told_apart(tmp_path):
    with pytest.raises(ConfigError, match=r"^no such run folder: .*nowhere"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"^half-written run"):
        load_run(tmp_path)


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


def test_a_folder_of_runs_stands_for_its_runs_in_order_of_time(tmp_path):
    for name in ("2-ring", "1-single", "3-star"):
        write_run(tmp_path, name[2:], name=name)
    (tmp_path / "plots").mkdir()
    assert [run.strategy for run in find_runs([tmp_path])] == ["single", "ring", "star"]


def test_named_runs_keep_the_order_of_naming_and_count_once(tmp_path):
    one, two = (write_run(tmp_path, name[2:], name=name) for name in ("1-ring", "2-star"))
    assert [run.strategy for run in find_runs([two, tmp_path, two / ".." / one.name])] == ["star", "ring"]


def test_half_written_runs_in_a_folder_are_passed_over_and_listed(tmp_path):
    write_run(tmp_path, name="1")
    half = write_run(tmp_path, name="2")
    (half / "summary.json").unlink()
    assert len(find_runs([tmp_path])) == 1
    assert half_written([tmp_path]) == [half]
    with pytest.raises(ConfigError, match="half-written run"):
        find_runs([half])


def test_a_pattern_finds_runs_and_folders_of_runs(tmp_path):
    write_run(tmp_path, "star", name="2-star")
    write_run(tmp_path / "1-sweep", "ring", name="1-ring")
    (tmp_path / "3-star.txt").write_text("no folder")
    half = write_run(tmp_path, name="4-star")
    (half / "summary.json").unlink()
    assert [run.strategy for run in find_runs([f"{tmp_path}/*"])] == ["star", "ring"]
    assert [run.strategy for run in find_runs([f"{tmp_path}/?-star"])] == ["star"]
    assert half_written([f"{tmp_path}/*star*"]) == [half]
    with pytest.raises(ConfigError, match=r"no file or folder matches .*/5-\*$"):
        find_runs([f"{tmp_path}/5-*"])
    with pytest.raises(ConfigError, match=r"no complete run matches .*/4-\* \(1 half-written\)$"):
        find_runs([f"{tmp_path}/4-*"])


def test_a_folder_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    write_run(tmp_path / "all[1]", "ring")
    assert [run.strategy for run in find_runs([tmp_path / "all[1]"])] == ["ring"]


def test_a_benchmark_is_said_to_be_one_and_where_its_plots_are(tmp_path):
    folder = tmp_path / "bench"
    (folder / "ranks").mkdir(parents=True)
    (folder / "bench.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"bench is a benchmark, not a run: it has no plots$"):
        find_runs([folder])
    (folder / "plots").mkdir()
    with pytest.raises(ConfigError, match=r"bench is a benchmark, not a run: its plots are in .*bench/plots$"):
        find_runs([folder])
    assert half_written([tmp_path]) == []


def test_a_folder_without_a_complete_run_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no complete run in .*$"):
        find_runs([tmp_path])
    (write_run(tmp_path) / "summary.json").unlink()
    with pytest.raises(ConfigError, match=r"no complete run in .* \(1 half-written\)"):
        find_runs([tmp_path])
    with pytest.raises(ConfigError, match="no such run folder"):
        find_runs([tmp_path / "nowhere"])


def test_the_loss_is_the_mean_over_workers_against_samples_and_seconds(tmp_path):
    samples, seconds, loss = loss_curve(load_run(write_run(tmp_path, steps=3)))
    assert samples.tolist() == [BATCH, 2 * BATCH, 3 * BATCH]
    late = (WORKERS - 1) / 1000  # of the last worker
    np.testing.assert_allclose(seconds, [STEP + late, 2 * STEP + late, 3 * STEP + late])
    np.testing.assert_allclose(loss, [loss_at(step) + 0.015 for step in range(3)])


def test_the_one_process_of_single_counts_the_samples_of_the_whole_batch(tmp_path):
    samples, _, loss = loss_curve(load_run(write_run(tmp_path, "single", steps=2)))
    assert samples.tolist() == [BATCH, 2 * BATCH]
    np.testing.assert_allclose(loss, [loss_at(0), loss_at(1)])


def test_a_worker_that_died_leaves_the_later_steps_to_the_others(tmp_path):
    folder = write_run(tmp_path, steps=3)
    write_rows(folder, 3, [worker_row(0, 3, SECONDS) | {"ended": 9.0}])
    _, seconds, loss = loss_curve(load_run(folder))
    np.testing.assert_allclose(loss, [loss_at(0) + 0.015, loss_at(1) + 0.01, loss_at(2) + 0.01])
    np.testing.assert_allclose(seconds, [8.0, 8.0, 8.0])  # the clock does not run backwards


def test_losses_that_are_no_number_stay_visible_as_nan(tmp_path):
    folder = write_run(tmp_path, "single", steps=0)
    write_rows(folder, 0, [worker_row(0, 0, SECONDS) | {"loss": loss} for loss in (None,)])
    append(folder, json.dumps(worker_row(1, 0, SECONDS) | {"loss": float("inf")}) + "\n")
    assert np.isnan(loss_curve(load_run(folder))[2]).tolist() == [True, True]


def test_who_skipped_a_step_has_no_part_in_its_loss(tmp_path):
    folder = write_run(tmp_path, steps=2)
    late = [{**worker_row(step, 1, SECONDS), "loss": None, "skipped": True} for step in range(2)]
    write_rows(folder, 1, late)
    loss = loss_curve(load_run(folder))[2]
    assert loss == pytest.approx([loss_at(step) + (0 + 2 + 3) / 300 for step in range(2)])


def test_a_run_without_rows_has_an_empty_curve(tmp_path):
    folder = write_run(tmp_path)
    shutil.rmtree(folder / "ranks")
    assert [len(part) for part in loss_curve(load_run(folder))] == [0, 0, 0]


def test_smoothing_keeps_a_constant_and_leaves_out_what_is_not_finite():
    values = np.full(100, 3.0)
    values[[0, 50]] = np.nan, np.inf
    np.testing.assert_allclose(smooth(values), 3.0)
    assert np.isnan(smooth(np.array([np.nan]))).all()
    np.testing.assert_allclose(smooth(np.arange(100.0))[50], 49.5)  # the mean of steps 48 to 51


def test_stage_times_are_means_over_the_steps_after_warm_up(tmp_path):
    folder = write_run(tmp_path, steps=4, warmup_steps=1)
    slow = dict.fromkeys(STAGES, 100.0)
    for worker in range(WORKERS):
        rows = [worker_row(step, worker, slow if step == 0 else SECONDS) for step in range(4)]
        write_rows(folder, worker, rows)
    assert stage_seconds_per_step(load_run(folder)) == pytest.approx(SECONDS)


def test_stage_times_come_from_the_summary_where_there_are_no_rows(tmp_path):
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


def run_of(path, strategy, **changes):
    return Run(path, summary(strategy, **changes))


def test_labels_are_distinct_and_say_only_what_differs(tmp_path):
    runs = [
        run_of(tmp_path, "single"),
        run_of(tmp_path, "ps-ssp", consistency="ssp", strategy_options={"staleness": 1}),
        run_of(tmp_path, "ps-ssp", consistency="ssp", strategy_options={"staleness": 3}),
        run_of(tmp_path, "ring", workers=2),
        run_of(tmp_path, "ring", workers=4),
        run_of(tmp_path, "gossip.plugin:Gossip"),
        run_of(tmp_path, "star"),
        run_of(tmp_path, "star"),
    ]
    expected = ["single", "ps-ssp staleness=1", "ps-ssp staleness=3", "ring 2w", "ring 4w", "Gossip", "star", "star #2"]
    assert labels(runs) == expected


def test_the_bound_of_a_consistency_is_in_the_label_and_its_option_is_not(tmp_path):
    runs = [
        run_of(tmp_path, "ps-ssp", consistency="ssp(3)"),
        run_of(tmp_path, "ps-ssp", consistency="ssp(8)", strategy_options={"staleness": 8, "sharding": "even"}),
        run_of(tmp_path, "ps-ssp", consistency="ssp(8)", strategy_options={"staleness": 8, "sharding": "hashed"}),
        run_of(tmp_path, "ps-async", consistency="asp"),
    ]
    expected = ["ps-ssp(3)", "ps-ssp(8) sharding=even", "ps-ssp(8) sharding=hashed", "ps-async"]
    assert labels(runs) == expected


def test_settings_that_differ_are_in_the_label_and_never_become_a_number(tmp_path):
    runs = [run_of(tmp_path, "ring", hosts=n) for n in (1, 2)] + [run_of(tmp_path, "ps-bsp", servers=n) for n in (1, 2)]
    assert labels(runs) == ["ring 1 host", "ring 2 hosts", "ps-bsp 1 server", "ps-bsp 2 servers"]


def test_where_the_servers_are_is_in_the_label_if_it_differs_and_there_are_any(tmp_path):
    runs = [run_of(tmp_path, "ps-bsp", servers=2, placement=where) for where in ("dedicated", "colocated")]
    runs += [run_of(tmp_path, "ring", servers=0, placement=None)]
    assert labels(runs) == ["ps-bsp dedicated", "ps-bsp colocated", "ring"]


def test_one_process_with_a_server_inside_is_not_alone(tmp_path):
    runs = [run_of(tmp_path, "ps-bsp", servers=1, processes=1, placement="colocated", transport="tcp")]
    runs += [run_of(tmp_path, "ring", transport="ipc", processes=4) for _ in range(2)]
    assert labels(runs)[0] == "ps-bsp tcp"


def test_a_setting_that_most_runs_have_otherwise_is_in_the_label(tmp_path):
    usual = {"bucket": 4 << 20, "overlap": "on", "transport": "ipc", "hosts": 1, "servers": 0, "processes": 4}
    runs = [
        run_of(tmp_path, "single", **{**usual, "processes": 1, "transport": "tcp"}),  # sends nothing
        run_of(tmp_path, "ring", **usual),
        run_of(tmp_path, "ps-bsp", **{**usual, "servers": 1, "processes": 5}),
        run_of(tmp_path, "auto", **{**usual, "bucket": 64 << 10}),
    ]
    assert labels(runs) == ["single", "ring", "ps-bsp", "auto bucket=64KiB"]
    assert labels(runs[2:]) == ["ps-bsp bucket=4MiB", "auto bucket=64KiB"]


def test_the_ceiling_is_that_of_a_noop_run_under_the_same_conditions(tmp_path):
    runs = [
        run_of(tmp_path, "noop", workers=2, samples_per_second=100.0),
        run_of(tmp_path, "noop", workers=4, samples_per_second=None),
        run_of(tmp_path, "noop", workers=4, samples_per_second=200.0),
    ]
    assert ceiling(run_of(tmp_path, "ring", workers=4), runs) == 200.0
    assert ceiling(run_of(tmp_path, "ring", workers=2), runs) == 100.0
    assert ceiling(run_of(tmp_path, "ring", workers=8), runs) is None


def test_every_stage_has_a_colour_of_its_own():
    assert tuple(STAGE_COLOURS) == STAGES
    assert len(set(STAGE_COLOURS.values())) == len(STAGES)
