"""Samples per second count the steps applied while all workers worked."""

import json

import msgspec
import pytest
from runs import write_rows

from experiments.metrics.staleness import read_pushes
from experiments.metrics.step_totals import ThroughputWindow, add_up
from experiments.schema.records import StepRow


def row(step, began, ended, **more):
    """A step record with what matters here."""
    return {"step": step, "began": began, "ended": ended, "loss": 1.0, "samples": ["ab"], "seconds": {}, **more}


def record(step, began, ended, **more):
    """The same, as it is read."""
    return msgspec.convert(row(step, began, ended, **more), StepRow)


def pace_of(*workers):
    """Of workers whose steps last so many seconds each: (seconds, steps)."""
    pace = ThroughputWindow(len(workers))
    for worker, (seconds, steps) in enumerate(workers):
        for step in range(steps):
            pace.add(worker, record(step, step * seconds, (step + 1) * seconds))
    return pace


def test_workers_in_step_give_the_steps_after_the_warm_up_over_their_time():
    pace = pace_of((0.5, 20), (0.5, 20))
    assert pace.window(4) == (2.0, 10.0)
    assert pace.steps_per_second(4) == pytest.approx(2 / 0.5)


def test_a_slow_worker_alone_at_the_end_does_not_count_nor_does_a_fast_one_in_the_others_warm_up():
    pace = pace_of((1.0, 20), (1.0, 20), (4.0, 20))
    assert pace.window(2) == (8.0, 20.0)
    assert pace.steps_per_second(2) == pytest.approx(1 + 1 + 1 / 4)


def test_steps_at_the_edges_count_by_their_part():
    pace = pace_of((1.0, 10), (3.0, 10))
    assert pace.window(1) == (3.0, 10.0)
    assert pace.steps_per_second(1) * 7 == pytest.approx(7 + 7 / 3)


def test_without_a_moment_in_which_all_work_there_is_no_figure():
    assert pace_of((1.0, 5), (10.0, 5)).steps_per_second(1) is None
    assert pace_of((1.0, 5), (1.0, 2)).steps_per_second(2) is None
    assert ThroughputWindow(2).steps_per_second(0) is None


def test_skipped_steps_and_dropped_pushes_do_not_count():
    pace = ThroughputWindow(1)
    for step in range(10):
        pace.add(0, record(step, step, step + 1.0, skipped=step == 3), dropped={5: 1.0, 7: 0.5}.get(step, 0.0))
    assert pace.steps_per_second(0) == pytest.approx((10 - 2.5) / 10)
    assert pace.steps_per_second(8) == pytest.approx(1.0)


# --- with the servers' histories ---


def event(worker, step, **more):
    """A push as ps.push_history notes it."""
    known = {"event": "push", "worker": worker, "step": step, "applied": step, "staleness": 0, "version": step}
    return {"at": 0.1, **known, "waited": 0.0, "outcome": "applied", **more}


def history(folder, rank, *events, tail=""):
    path = folder / f"{rank}-server.events.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in events) + tail)
    return path


def test_dropped_pushes_lower_the_figure_of_a_run(tmp_path):
    (tmp_path / "ranks").mkdir()
    for rank in range(2):
        write_rows(tmp_path, rank, [row(step, step, step + 1.0) for step in range(10)])
    files = [tmp_path / "ranks" / f"{rank}-worker.jsonl" for rank in range(2)]
    late = history(tmp_path, 2, *(event(1, step, outcome="dropped") for step in range(0, 10, 2)))
    assert add_up(files, 0).steps_per_second == pytest.approx(2.0)
    assert add_up(files, 0, read_pushes([late], 2, "backup(1)")).steps_per_second == pytest.approx(1.5)


# --- a worker that died ---


def test_the_steps_of_survivors_go_on_after_a_death_and_the_window_ends_with_it(tmp_path):
    (tmp_path / "ranks").mkdir()
    for rank, steps in enumerate((4, 10)):
        write_rows(tmp_path, rank, [row(step, step, step + 1.0, loss=float(step)) for step in range(steps)])
    files = [tmp_path / "ranks" / f"{rank}-worker.jsonl" for rank in range(2)]
    assert add_up(files, 1).steps == 4
    totals = add_up(files, 1, departed={0})
    assert (totals.steps, totals.loss) == (10, 9.0)
    assert totals.steps_per_second == pytest.approx(2.0)
    assert totals.ledger_sha256 != add_up(files, 1).ledger_sha256
