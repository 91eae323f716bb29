"""The verb trace: where to open it, whom the others waited for, and one line for what cannot be shown."""

import json

import numpy as np
import pytest
from runs import write_run
from traces import Hand

from common.errors import ConfigError
from common.records.trace_buffer import RECORD
from experiments.config import RunOptions, plan
from experiments.ranks.trace_recorder import trace_file


def write_traces(folder, *hands):
    for hand in hands:
        np.save(trace_file(folder, hand.place), np.array(hand.rows, RECORD))


@pytest.fixture
def traced(tmp_path):
    """A run of two workers, in which worker 1 trains for 7 s of 10."""
    folder = write_run(tmp_path, workers=2, warmup_steps=0, own_transport=None)
    quick, slow = Hand(0).stage("train", 0, 1), Hand(1).stage("train", 0, 7).send(0, 7, 7.5)
    quick.receive(1, 1, 8).stage("synchronize", 1, 8).stage("update", 8, 10)
    write_traces(folder, quick, slow)
    return folder


def test_it_says_whom_the_others_waited_for_and_where_to_look(answer, traced):
    code, out, _ = answer("trace", traced)
    assert code == 0
    *_, sentence, where = out.splitlines()
    assert sentence == "the others waited for worker 1: 75% of the steps' time, 70% in train"
    assert where == f"trace: {traced / 'trace.json'}: open it at https://ui.perfetto.dev or chrome://tracing"
    (row,) = (line.split() for line in out.splitlines() if "worker 1 " in line and "train" in line)
    assert row == ["worker", "1", "train", "7000", "70%", "0%"]
    assert (traced / "trace.json").is_file()


def test_as_json(answer, traced):
    code, out, _ = answer("trace", traced, "--json")
    said = json.loads(out)
    assert code == 0
    assert said["trace"] == str(traced / "trace.json")
    assert said["waited_for"] == {"rank": "worker 1", "stage": "train", "share": 0.75}
    assert said["critical_path"][0] == {"rank": "worker 1", "stage": "train", "seconds": 7.0, "share": 0.7}
    assert said["waited"]["worker 0"] == {"seconds": 6.5, "share": 0.65}
    assert (said["steps"], said["seconds"], said["cut"], said["note"]) == (1, 10.0, None, None)


def test_who_was_killed_and_left_no_trace_is_named(answer, traced):
    assert json.loads(answer("trace", traced, "--json")[1])["missing"] == []
    assert "not in the trace" not in answer("trace", traced)[1]
    (traced / "ranks" / "1-worker.trace.npy").unlink()
    assert json.loads(answer("trace", traced, "--json")[1])["missing"] == ["worker 1"]
    assert "not in the trace, as ranks that were killed: worker 1; time" in answer("trace", traced)[1]


def test_a_trace_that_is_there_is_left_as_it_is(answer, traced):
    (traced / "trace.json").write_text("mine")
    assert answer("trace", traced)[0] == 0
    assert (traced / "trace.json").read_text() == "mine"


def test_an_engine_of_its_own_gets_a_note_and_no_table(answer, tmp_path):
    folder = write_run(tmp_path, "gloo", workers=1, own_transport="gloo")
    write_traces(folder, Hand(0).stage("train", 0, 1))
    code, out, _ = answer("trace", folder)
    first, where = out.splitlines()
    assert code == 0
    assert first.endswith("gloo moves the bytes itself, so the trace has stages only")
    assert where.startswith("trace: ")


def test_without_a_trace_it_says_how_to_get_one(answer, tmp_path):
    folder = write_run(tmp_path)
    code, out, err = answer("trace", folder)
    assert (code, out) == (2, "")
    assert err == f"syncbench: no trace in {folder}: record one with run --trace\n"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00"], ids=["empty", "nonsense", "cut short"])
def test_a_damaged_trace_is_named_in_one_line(answer, traced, content):
    file = traced / "ranks" / "0-worker.trace.npy"
    file.write_bytes(content)
    code, out, err = answer("trace", traced)
    assert (code, out) == (2, "")
    assert err.startswith(f"syncbench: {file} is damaged: ")
    assert err.count("\n") == 1


def test_an_array_that_is_no_trace_is_damaged(answer, traced):
    np.save(traced / "ranks" / "0-worker.trace.npy", np.zeros(3))
    code, _, err = answer("trace", traced)
    assert (code, err.count("\n")) == (2, 1)
    assert "it holds no records of a trace" in err


def test_no_such_folder(answer, tmp_path):
    code, _, err = answer("trace", tmp_path / "nowhere")
    assert (code, err) == (2, f"syncbench: no such run folder: {tmp_path / 'nowhere'}\n")


def test_servers_that_come_back_cannot_be_traced():
    options = RunOptions(strategy="ps-bsp", checkpoint_every=5, restarts=1, trace=True)
    with pytest.raises(ConfigError, match="--trace cannot follow a server that comes back: leave --restarts out"):
        plan(options)
    assert plan(RunOptions(trace=True)).job.trace
    assert not plan(RunOptions()).job.trace
