"""How long a run took to a loss, whoever is at which step."""

import numpy as np
import pytest
from runs import write_rows, write_run

from experiments.runs.loss_curves import common_loss, loss_by_time, seconds_to_loss
from experiments.runs.run import load_run


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


def test_who_has_ended_counts_no_more(tmp_path):
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


def test_what_all_runs_reached_is_the_highest_of_their_final_losses(tmp_path):
    good, bad = recorded(tmp_path, (1.0, [4.0, 1.0])), recorded(tmp_path, (1.0, [4.0, 2.0, 3.0]), name="bad")
    assert common_loss([good, bad]) == 3.0
    worse = recorded(tmp_path, (1.0, [4.0, 0.0532]), name="worse")
    assert common_loss([worse]) == 0.06  # one significant digit, rounded up
    assert common_loss([good, recorded(tmp_path, name="nothing")]) is None
    assert loss_by_time(recorded(tmp_path, name="empty"))[0].size == 0
