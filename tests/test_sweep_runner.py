"""Runs of a sweep: in turns, each noted, resumed after a stop; with runs that only pretend."""

import json

import pytest
from sweeps import Pretend, grid

from common.errors import ConfigError
from experiments.sweep.estimate import Forecast
from experiments.sweep.folder import NAME, Journal
from experiments.sweep.grid import turns
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
def test_a_stopped_sweep_continues_where_it_stopped(tmp_path, stop):
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


def test_an_error_that_the_next_run_would_meet_too_ends_the_sweep(tmp_path):
    with pytest.raises(ConfigError):
        do(tmp_path, Pretend(tmp_path, stop=1, interrupt=ConfigError("no room")))
    assert len(lines(tmp_path)) == 1


def test_a_line_that_was_cut_short_does_not_count(tmp_path):
    do(tmp_path)
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    execute, aside = do(tmp_path)
    assert execute.ran == [TURNS[-1][0].id]
    assert len(aside) == 1
    assert len(lines(tmp_path)) == len(TURNS)


def test_the_title_says_how_many_runs_are_left(tmp_path):
    execute, _ = do(tmp_path)
    assert execute.titles[0] == f"[1/16, about 16 s left] {TURNS[0][0].about}"
