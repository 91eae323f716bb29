"""Doing a sweep, going on with one that was stopped, and what it will take: with runs that only pretend."""

import fcntl
import json
import os
import re
from types import SimpleNamespace

import pytest
from sweeps import Pretend, entry, grid

from common.errors import ConfigError
from experiments.schema.records import JournalEntry
from experiments.sweep.calibration import pairs
from experiments.sweep.estimate import Forecast, _alone, _exchange, duration, seconds_by_cell
from experiments.sweep.journal import NAME, Journal
from experiments.sweep.run_order import turns
from experiments.sweep.runner import conduct

CELLS = grid("strategies: [ring, tree]\nworkers: [1, 2]").cells
TURNS = turns(CELLS, 2)


def do(folder, execute=None, said=None):
    execute = execute or Pretend(folder)
    with Journal(folder) as journal:
        aside = journal.set_aside()
        forecast = Forecast({cell.id: 1.0 for cell in CELLS})
        conduct(TURNS, journal, execute, forecast, (said if said is not None else []).append)
    return execute, aside


def lines(folder):
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


def runs(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "aside")


def test_every_cell_runs_as_often_as_was_asked_in_turns_and_has_a_line(tmp_path):
    execute, _ = do(tmp_path)
    assert execute.ran == [cell.id for cell, _ in TURNS]
    found = lines(tmp_path)
    assert [(line["cell"], line["repeat"]) for line in found] == [(cell.id, repeat) for cell, repeat in TURNS]
    assert {line["status"] for line in found} == {"ok"}
    assert sorted(line["folder"] for line in found) == runs(tmp_path)
    assert set(found[0]) == {"cell", "repeat", "status", "folder", "error", "seconds"}


def test_a_run_that_fails_is_noted_and_the_next_one_starts(tmp_path):
    said = []
    do(tmp_path, Pretend(tmp_path, fails=lambda cell: cell.strategy == "tree"), said)
    failed = [line for line in lines(tmp_path) if line["status"] == "failed"]
    assert len(lines(tmp_path)) == len(TURNS)
    assert {line["cell"].split("-")[0] for line in failed} == {"tree"}
    assert all(line["error"] == "worker rank 1, stage train, step 3: no luck" for line in failed)
    assert len(said) == len(failed) == 4


@pytest.mark.parametrize("stop", range(len(TURNS)))
def test_a_stopped_sweep_goes_on_where_it_was(tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path, Pretend(tmp_path, stop=stop))
    before = lines(tmp_path)
    assert len(before) == stop
    assert len(runs(tmp_path)) == stop + 1  # the one that it was at

    execute, aside = do(tmp_path)
    assert [path.parent.name for path in aside] == ["aside"]
    assert execute.ran == [cell.id for cell, _ in TURNS[stop:]]
    assert lines(tmp_path)[:stop] == before
    assert [(line["cell"], line["repeat"]) for line in lines(tmp_path)] == [(c.id, r) for c, r in TURNS]
    assert sorted(line["folder"] for line in lines(tmp_path)) == runs(tmp_path)


def test_a_finished_sweep_has_nothing_to_do(tmp_path):
    do(tmp_path)
    execute, aside = do(tmp_path)
    assert (execute.ran, aside) == ([], [])


def test_what_the_next_run_would_meet_too_ends_the_sweep(tmp_path):
    with pytest.raises(ConfigError):
        do(tmp_path, Pretend(tmp_path, stop=1, interrupt=ConfigError("no room")))
    assert len(lines(tmp_path)) == 1


def test_a_line_that_was_not_written_whole_counts_for_nothing(tmp_path):
    do(tmp_path)
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    execute, aside = do(tmp_path)
    assert execute.ran == [TURNS[-1][0].id]
    assert len(aside) == 1
    assert len(lines(tmp_path)) == len(TURNS)


WHOLE = {"cell": "x", "repeat": 1, "status": "ok", "folder": None, "error": None, "seconds": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        '{"cell": "x"}',
        "rubbish",
        *(json.dumps({**WHOLE, key: value}) for key, value in [("cell", ["x"]), ("repeat", "1"), ("seconds", None)]),
    ],
)
def test_a_damaged_line_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(f"{text}\n")
    with pytest.raises(ConfigError, match=r"line 1 is (damaged|not valid JSON)"):
        Journal(tmp_path)
    with open(tmp_path / NAME) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # who was refused holds no lock


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_of_it(tmp_path, monkeypatch):
    write = os.write
    with Journal(tmp_path) as journal:
        journal.add(JournalEntry(**WHOLE))
        monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:9]))
        with pytest.raises(OSError, match="No space left"):
            journal.add(JournalEntry(**{**WHOLE, "repeat": 2}))
        monkeypatch.setattr(os, "write", write)
        journal.add(JournalEntry(**{**WHOLE, "repeat": 3}))
    with Journal(tmp_path) as journal:
        assert [repeat for _, repeat in journal.entries] == [1, 3]


def test_two_cannot_be_at_the_same_sweep(tmp_path):
    with Journal(tmp_path), pytest.raises(ConfigError, match="another process is at this sweep"):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass


def test_only_run_folders_are_set_aside(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "plots").mkdir()
    with Journal(tmp_path) as journal:
        journal.add(entry("ring-w2-abc", 1, "20260102T030405Z-ring-w2-abcdef"))
        (tmp_path / "20260102T030405Z-ring-w2-abcdef").mkdir()
        (tmp_path / "20260102T030406Z-ring-w2-abcdef").mkdir()
        (moved,) = journal.set_aside()
    assert moved.name == "20260102T030406Z-ring-w2-abcdef"
    assert sorted(os.listdir(tmp_path)) == ["20260102T030405Z-ring-w2-abcdef", "aside", NAME, "notes", "plots"]


def test_the_title_says_how_far_it_is(tmp_path):
    execute, _ = do(tmp_path)
    assert execute.titles[0] == f"[1/16, about 16 s left] {TURNS[0][0].about}"


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
    told = {(cell.settings["slow_worker"], cell.settings["steps"]): seconds[cell.id] for cell in cells}
    exchanged = _exchange(cells[0].plan.job, 0)
    assert told["", 200] - told["", 100] == pytest.approx(100 * (0.1 + exchanged))
    assert told["3:4", 200] - told["3:4", 100] == pytest.approx(100 * (0.4 + exchanged))


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
        ((0, '{"error": "no such data"}', ""), "no such data"),
    ],
)
def test_a_model_that_cannot_be_trained_is_known_before_anything_starts(monkeypatch, ended, complaint):
    code, out, err = ended
    done = SimpleNamespace(returncode=code, stdout=out, stderr=err)
    monkeypatch.setattr("experiments.sweep.step_timing.subprocess.run", lambda *given, **more: done)
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        seconds_by_cell(CELLS)


def test_what_is_measured_is_a_worker_by_itself():
    (cell,) = grid(
        "strategies: ps-bsp\nceiling: false\nyardstick: false\ntrain_seconds: 0.5\njitter: uniform:0,1"
    ).cells
    job = _alone(cell.plan)
    assert (job.workers, job.servers, job.batch, job.train_seconds, job.jitter) == (1, 0, 32, 0.0, "")


def test_what_is_calibrated_is_what_carries_messages():
    found = grid("strategies: [ring, gloo]\nworkers: [1, 2, 4]\ntransport: [ipc, tcp]").cells
    assert pairs(found) == [("ipc", 2), ("tcp", 2), ("ipc", 4), ("tcp", 4)]
    assert pairs(grid("strategies: gloo\nworkers: [2, 4]").cells) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (480, "8 min"), (4800, "80 min"), (8000, "2 h 13 min")],
)
def test_a_duration_has_no_more_digits_than_a_forecast_has(seconds, words):
    assert duration(seconds) == words
