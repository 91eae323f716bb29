"""How long a sweep will take, and what is calibrated before it."""

import re
from types import SimpleNamespace

import pytest
from sweeps import grid

from common.errors import ConfigError
from experiments.sweep.estimate import Forecast, _alone, _exchange, duration, seconds_by_cell
from experiments.sweep.grid import turns
from experiments.sweep.runner import pairs

CELLS = grid("strategies: [ring, tree]\nworkers: [1, 2]").cells
TURNS = turns(CELLS, 2)


def test_a_forecast_learns_from_what_has_run():
    forecast = Forecast({cell.id: 2.0 for cell in CELLS})
    assert forecast.left(TURNS) == 2.0 * len(TURNS)
    forecast.learn(CELLS[0].id, 6.0)
    assert forecast.left(TURNS) == 6.0 * len(TURNS)  # all are three times as slow as thought
    forecast.learn(CELLS[1].id, 2.0)
    assert forecast.left([(CELLS[0], 2), (CELLS[1], 2), (CELLS[2], 1)]) == 6.0 + 2.0 + 2.0 * 2


def test_an_estimate_knows_steps_delays_and_the_slowest_worker(monkeypatch):
    monkeypatch.setattr("experiments.sweep.estimate.cores", lambda: 64)
    slow = "train_seconds: 0.1\nslow_worker: ['', '3:4']\nsteps: [100, 200]"
    cells = grid(f"strategies: noop\nyardstick: false\nworkers: 4\n{slow}").cells
    seconds = seconds_by_cell(cells, lambda jobs: [(0.001, 0)] * len(jobs))
    seconds_of = {(cell.settings["slow_worker"], cell.settings["steps"]): seconds[cell.id] for cell in cells}
    exchanged = _exchange(cells[0].plan.job, 0)
    assert seconds_of["", 200] - seconds_of["", 100] == pytest.approx(100 * (0.1 + exchanged))
    assert seconds_of["3:4", 200] - seconds_of["3:4", 100] == pytest.approx(100 * (0.4 + exchanged))


def test_ranks_that_share_a_core_take_turns(monkeypatch):
    cells = grid("strategies: noop\nyardstick: false\nworkers: [1, 4]\nsteps: 1000").cells
    took = {}
    for count in (1, 4):
        monkeypatch.setattr("experiments.sweep.estimate.cores", lambda count=count: count)
        took[count] = list(seconds_by_cell(cells, lambda jobs: [(0.01, 0)] * len(jobs)).values())
    assert took[1][0] == took[4][0]
    assert took[1][1] > took[4][1] + 1000 * 0.01 * 2.9


def test_each_model_is_measured_once():
    asked = []

    def measure(jobs):
        asked.extend(job.batch for job in jobs)
        return [(0.0, 0)] * len(jobs)

    seconds_by_cell(grid("strategies: [ring, tree]\nworkers: [1, 2]").cells, measure)
    assert asked == [32, 64]  # a worker's share, and what `single` takes for two


@pytest.mark.parametrize(
    ("ended", "complaint"),
    [
        ((1, "", "Traceback …\nMemoryError: too large\n"), "a first step could not be trained: MemoryError: too large"),
        ((-9, "", ""), "a first step could not be trained: exit code -9"),
        ((1, "", "no such data\n"), "a first step could not be trained: no such data"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_before_anything_starts(monkeypatch, ended, complaint):
    code, out, err = ended
    done = SimpleNamespace(returncode=code, stdout=out, stderr=err)
    monkeypatch.setattr("experiments.sweep.estimate.subprocess.run", lambda *given, **more: done)
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        seconds_by_cell(CELLS)


def test_the_measured_job_is_one_worker_without_delays():
    (cell,) = grid(
        "strategies: ps-bsp\nceiling: false\nyardstick: false\ntrain_seconds: 0.5\njitter: uniform:0,1"
    ).cells
    job = _alone(cell.plan)
    assert (job.workers, job.servers, job.batch, job.train_seconds, job.jitter) == (1, 0, 32, 0.0, "")


def test_only_transports_that_carry_messages_are_calibrated():
    found = grid("strategies: [ring, gloo]\nworkers: [1, 2, 4]\ntransport: [ipc, tcp]").cells
    assert pairs(found) == [("ipc", 2), ("tcp", 2), ("ipc", 4), ("tcp", 4)]
    assert pairs(grid("strategies: gloo\nworkers: [2, 4]").cells) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (480, "8 min"), (4800, "80 min"), (8000, "2 h 13 min")],
)
def test_a_duration_has_no_more_digits_than_a_forecast_has(seconds, words):
    assert duration(seconds) == words
