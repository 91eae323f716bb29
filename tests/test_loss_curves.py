"""Losses against samples and time, also of workers that are at different steps."""

import math
import shutil

import numpy as np
import pytest
from runs import BATCH, SECONDS, WORKERS, loss_at, worker_row, write_rows, write_run

from experiments.runs.find import load_run
from experiments.runs.loss_curves import common_loss, loss_by_time, loss_curve, seconds_to_loss, smooth


def recorded(folder, *workers, name="run"):
    """A run in which each worker's steps last so many seconds and have the losses given: (seconds, losses)."""
    path = write_run(folder, name=name, steps=0)
    for worker in range(4):
        (path / "ranks" / f"{worker}-worker.jsonl").unlink()
    for worker, (seconds, losses) in enumerate(workers):
        times = [(5 + step * seconds, 5 + (step + 1) * seconds) for step in range(len(losses))]
        keys = ("began", "ended")
        rows = [
            {"step": i, "loss": x, "seconds": {}, **dict(zip(keys, times[i], strict=True))}
            for i, x in enumerate(losses)
        ]
        write_rows(path, worker, rows)
    return load_run(path)


def test_losses_are_averaged_by_time_and_not_by_step(tmp_path):
    run = recorded(tmp_path, (1.0, [4.0, 3.0, 2.0, 1.0]), (2.0, [4.0, 2.0]))
    seconds, loss = loss_by_time(run)
    assert seconds.tolist() == [0.0, 1.0, 2.0, 3.0]  # since the faster one's first step
    assert loss.tolist() == [4.0, 3.5, 2.5, 1.5]
    assert seconds_to_loss(run, 2.5) == 2.0
    assert seconds_to_loss(run, 1.4) is None


def test_a_worker_that_has_ended_does_not_count_any_more(tmp_path):
    seconds, loss = loss_by_time(recorded(tmp_path, (1.0, [4.0, 2.0]), (2.0, [4.0, 3.0, 1.0])))
    assert (seconds.tolist(), loss.tolist()) == ([0.0, 1.0, 3.0, 5.0], [4.0, 3.0, 3.0, 1.0])


def test_steps_without_a_loss_are_left_out(tmp_path):
    seconds, loss = loss_by_time(recorded(tmp_path, (1.0, [4.0, None, 2.0])))
    assert (seconds.tolist(), loss.tolist()) == ([0.0, 2.0], [4.0, 2.0])


def test_a_long_run_keeps_its_ends(tmp_path):
    seconds, loss = loss_by_time(recorded(tmp_path, (0.5, np.linspace(9, 1, 5000).tolist()), (0.7, [1.0] * 3000)))
    assert len(seconds) == 2000
    assert (seconds[0], seconds[-1]) == pytest.approx((0.0, 4999 * 0.5))
    assert loss[-1] == pytest.approx(1.0, abs=0.2)


def test_the_common_loss_is_the_highest_final_loss(tmp_path):
    good, bad = recorded(tmp_path, (1.0, [4.0, 1.0])), recorded(tmp_path, (1.0, [4.0, 2.0, 3.0]), name="bad")
    assert common_loss([good, bad]) == 3.0
    worse = recorded(tmp_path, (1.0, [4.0, 0.0532]), name="worse")
    assert common_loss([worse]) == 0.06  # one significant digit, rounded up
    assert common_loss([good, recorded(tmp_path, name="nothing")]) is None
    assert loss_by_time(recorded(tmp_path, name="empty"))[0].size == 0


def test_the_loss_is_the_mean_over_workers_against_samples_and_seconds(tmp_path):
    samples, seconds, loss = loss_curve(load_run(write_run(tmp_path, steps=3)))
    assert samples.tolist() == [BATCH, 2 * BATCH, 3 * BATCH]
    late = (WORKERS - 1) / 1000  # of the last worker
    np.testing.assert_allclose(seconds, [(step + 1) * sum(SECONDS.values()) + late for step in range(3)])
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
    write_rows(folder, 0, [worker_row(step, 0, SECONDS) | {"loss": loss} for step, loss in ((0, None), (1, math.inf))])
    assert np.isnan(loss_curve(load_run(folder))[2]).tolist() == [True, True]


def test_a_worker_that_skipped_a_step_has_no_part_in_its_loss(tmp_path):
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
