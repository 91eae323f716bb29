"""Runs as frames: one row a run, a step, a push, a pair of ranks, with the figures that the files hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import PARAMETERS, SECONDS, WORKERS, fail, loss_at, worker_row, write_rows, write_run

from common.errors import ConfigError
from common.records.stage_clock import STAGES
from experiments.runs.frames import load_runs

RECORDED = Path(__file__).parent / "recorded"


def push(worker, step, **more):
    event = {"event": "push", "worker": worker, "step": step, "applied": step + 1, "staleness": 1, "version": step}
    return {"at": float(step), **event, "waited": 0.5, "outcome": "applied", **more}


def write_events(folder, rank, events):
    text = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "ranks" / f"{rank}-server.events.jsonl").write_text(text)


def test_a_row_a_run_holds_the_summary_and_the_environment(tmp_path):
    write_run(tmp_path, "ring", name="1-ring", strategy_options={"segments": 2}, test_accuracy=None)
    failed = write_run(tmp_path, "ps-bsp", name="2-ps", **fail())
    (failed / "env.json").write_text(json.dumps({"schema": 1, "cores": 2, "versions": {"torch": "2.4"}}))
    runs = load_runs(tmp_path).runs
    assert runs["run"].tolist() == ["1-ring", "2-ps"]
    assert runs["path"].tolist() == [str(tmp_path / "1-ring"), str(failed)]
    assert runs["workers"].tolist() == [WORKERS, WORKERS]
    assert runs["strategy_options"].tolist() == ['{"segments":2}', "{}"]
    assert runs["stage_seconds.train"].isna().tolist() == [False, True]
    assert runs["test_accuracy"].isna().all()
    assert runs["error.rank"].isna().tolist() == [True, False]
    assert runs["error.cause"][1] == "killed by signal 9"
    assert runs["environment.cores"].isna().tolist() == [True, False]
    assert runs["environment.versions"][1] == '{"torch":"2.4"}'


def test_columns_have_the_same_dtypes_whatever_is_unknown(tmp_path):
    known, unknown = write_run(tmp_path / "a"), write_run(tmp_path / "b", **fail(), parameters=None)
    frames = [load_runs(folder) for folder in (known, unknown)]
    one, other = (frame.runs.drop(columns="run").dtypes for frame in frames)
    assert one.equals(other)
    assert (one["steps"], one["parameters"], one["samples_per_second"], one["trace"]) == (
        "int64",
        "Int64",
        "float64",
        "bool",
    )


def test_a_row_a_step_of_each_rank(tmp_path):
    folder = write_run(tmp_path, steps=3)
    late = {**worker_row(1, 3, SECONDS), "loss": None, "skipped": True}
    write_rows(folder, 3, [late])
    update = {"step": 0, "server": 10, "began": 1.0, "ended": 2.0, "seconds": {**SECONDS, "update": 0.5}}
    write_rows(folder, 10, [update], role="server")
    steps = load_runs(folder).steps
    assert len(steps) == 3 * 3 + 1 + 1
    assert steps["run"].unique().tolist() == [folder.name]
    of_worker = steps[(steps["role"] == "worker") & (steps["rank"] == 2)]
    assert of_worker["step"].tolist() == [0, 1, 2]
    assert of_worker["loss"].tolist() == pytest.approx([loss_at(step) + 0.02 for step in range(3)])
    assert of_worker[[f"seconds.{stage}" for stage in STAGES]].iloc[0].tolist() == list(SECONDS.values())
    assert steps[steps["skipped"]]["rank"].tolist() == [3]
    server = steps[steps["role"] == "server"].iloc[0]
    assert (server["rank"], server["began"], server["seconds.update"]) == (10, 1.0, 0.5)


def test_a_row_a_push_at_a_server_with_all_that_its_answer_took(tmp_path):
    folder = write_run(tmp_path, "ps-ssp")
    answered = {"event": "answered", "worker": 0, "waited": 0.25}
    other = {"event": "elected", "leader": 3}
    write_events(folder, 4, [push(0, 0), push(1, 0, waited=None), answered, other, push(0, 1, outcome="dropped")])
    write_events(folder, 5, [push(1, 0)])
    pushes = load_runs(folder).pushes
    assert pushes["server"].tolist() == [4, 4, 4, 5]
    assert pushes["worker"].tolist() == [0, 1, 0, 1]
    assert pushes["waited"].fillna(-1.0).tolist() == [0.75, -1.0, 0.5, 0.5]
    assert pushes["outcome"].tolist() == ["applied", "applied", "dropped", "applied"]


def test_a_row_a_pair_of_ranks_says_which_of_them_are_servers(tmp_path):
    between = {"0-1": {"2": 10}, "2": {"0-1": 30}}
    messages = load_runs(write_run(tmp_path, "ps-bsp", bytes_between=between)).messages
    assert messages[["sender", "receiver", "bytes"]].to_numpy().tolist() == [["0-1", "2", 10], ["2", "0-1", 30]]
    assert messages["sender_role"].tolist() == ["worker", "server"]
    assert messages["receiver_role"].tolist() == ["server", "worker"]


def test_a_row_a_rank_has_its_traffic_and_what_a_server_holds(tmp_path):
    detail = {"rank": 4, "process_of": 4, "parameters": PARAMETERS, "held_share": 1.0}
    sent = {"per_worker": [1, 2, None, 4], "per_server": [5]}
    folder = write_run(tmp_path, "ps-bsp", bytes_sent=sent, servers_detail=[detail], waited_seconds=[0.5] * 4)
    ranks = load_runs(folder).ranks
    assert ranks["rank"].tolist() == [0, 1, 2, 3, 4]
    assert ranks["role"].tolist() == ["worker"] * 4 + ["server"]
    assert ranks["bytes_sent"].fillna(-1).tolist() == [1, 2, -1, 4, 5]
    assert ranks["parameters"].fillna(0).tolist() == [0, 0, 0, 0, PARAMETERS]
    assert ranks["waited_seconds"].tolist()[:4] == [0.5] * 4


def test_frames_without_rows_have_their_columns(tmp_path):
    frames = load_runs(write_run(tmp_path, steps=0))
    other = load_runs([RECORDED / "ps-ssp"])
    for name in ("steps", "pushes", "messages"):
        empty, full = getattr(frames, name), getattr(other, name)
        assert (len(empty), len(full) > 0) == (0, True)
        assert empty.drop(columns="run").dtypes.equals(full.drop(columns="run").dtypes)


def test_runs_whose_folders_have_one_name_are_told_apart_by_path(tmp_path):
    folders = [write_run(tmp_path / parent, name="ring", steps=1) for parent in "ab"]
    frames = load_runs(folders)
    assert frames.runs["run"].tolist() == [str(folder) for folder in folders]
    assert frames.steps.groupby("run", observed=True).size().to_dict() == dict.fromkeys(map(str, folders), WORKERS)


def test_a_frame_is_not_read_before_it_is_asked_for_and_damage_is_one_line(tmp_path):
    folder = write_run(tmp_path, steps=1)
    (folder / "ranks" / "0-worker.jsonl").write_text("rubbish\n")
    frames = load_runs(folder)
    assert len(frames.runs) == 1
    with pytest.raises(ConfigError, match=r"0-worker\.jsonl, line 1 is not valid JSON: [^\n]*$"):
        _ = frames.steps


def test_the_typed_files_are_read_without_pandas():
    code = "import sys, experiments.schema.files; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
