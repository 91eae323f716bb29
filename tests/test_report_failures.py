"""The report names the runs that did not come to their end, and why."""

import json

import pytest
from runs import PLACE, SECONDS, fail, summary, worker_row, write_rows, write_run

from experiments.report.failures import failures, in_words
from experiments.runs.find import load_run
from experiments.sweep.folder import finished


def error(kind="PeerFailed", cause="killed by signal 9 (SIGKILL)", **more):
    return {"type": kind, "rank": 2, "role": "worker", "stage": "train", "step": 3, "cause": cause, **more}


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (error(), "Worker rank 2 was killed by signal 9 (SIGKILL), in stage train of step 3."),
        (error(step=-1, stage="setup"), "Worker rank 2 was killed by signal 9 (SIGKILL), before the first step."),
        (error(step=-2), "Worker rank 2 was killed by signal 9 (SIGKILL), after the last step."),
        (
            error(cause="ended with exit code 3 and said nothing", rank=4, role="server"),
            "Server rank 4 ended with exit code 3 and said nothing, in stage train of step 3.",
        ),
        (
            error("DeadlineExceeded", "nothing from rank 1 in 5 s"),
            "Worker rank 2 waited longer than the deadline, in stage train of step 3: nothing from rank 1 in 5 s.",
        ),
        (
            error("RunError", "ZeroDivisionError:\n a bug"),
            "Worker rank 2 failed in stage train of step 3: ZeroDivisionError: a bug.",
        ),
        ({"type": "KeyboardInterrupt", "cause": "interrupted", **dict.fromkeys(PLACE)}, "It was interrupted."),
        (None, "It is failed, and no reason is recorded."),
    ],
)
def test_the_error_is_a_sentence_that_names_the_rank_and_the_place(record, sentence):
    assert in_words(summary(status="failed", error=record)) == sentence


def test_a_failure_says_the_progress_of_every_rank(tmp_path):
    folder = write_run(tmp_path, "ring", **fail())
    for rank, steps in ((0, 4), (1, 3), (3, 5)):
        write_rows(folder, rank, [worker_row(step, rank, SECONDS) for step in range(steps)])
    (folder / "ranks" / "2-worker.jsonl").unlink()
    (found,) = failures([load_run(folder)])
    assert found.what == "ring"
    assert found.progress == "3 of 20 steps were done by every worker."
    assert "memory" in found.hint
    ended = [worker_row(steps - 1, rank, SECONDS)["ended"] for rank, steps in ((0, 4), (1, 3), (3, 5))]
    assert found.ranks == (
        f"worker 0: 4 steps, the last at {ended[0]:.1f} s",
        f"worker 1: 3 steps, the last at {ended[1]:.1f} s",
        "worker 2: 0 steps",
        f"worker 3: 5 steps, the last at {ended[2]:.1f} s",
    )


def test_a_damaged_record_does_not_take_the_sentence_away(tmp_path):
    folder = write_run(tmp_path, "ring", **fail())
    (folder / "ranks" / "0-worker.jsonl").write_text("{}\n{}\n")
    (found,) = failures([load_run(folder)])
    assert found.ranks == ()
    assert found.sentence.startswith("Worker rank 2 was killed")


def test_a_failed_cell_is_named_once_with_or_without_a_run(tmp_path):
    run = load_run(write_run(tmp_path, "ring", name="the-run", **fail()))
    lines = [
        {"cell": "a", "repeat": 0, "status": "ok", "folder": "other", "error": None, "seconds": 1},
        {"cell": "b", "repeat": 0, "status": "failed", "folder": "the-run", "error": "it died", "seconds": 1},
        {"cell": "c", "repeat": 1, "status": "failed", "folder": None, "error": "no such\nthing", "seconds": 1},
    ]
    (tmp_path / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cell": "d"')
    found = failures([run], finished(tmp_path))
    assert [each.what for each in found] == ["ring", "c"]
    assert found[1].sentence == "no such thing."


def test_without_cells_there_are_none(tmp_path):
    assert list(finished(tmp_path)) == []
