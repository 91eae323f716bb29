"""What a comparison warns of: figures, circumstances, missing runs."""

import json

import pytest
from contests import ENV, repeats_in
from runs import write_run
from sweeps import entry, sweep

from common.errors import ConfigError
from experiments.comparison.compare import compare_runs
from experiments.comparison.load import compare_paths
from experiments.schema.files import to_line
from experiments.sweep.grid import make_grid


@pytest.fixture
def runs(tmp_path):
    return repeats_in(tmp_path)


def test_repeats_that_scatter_are_a_warning(runs):
    calm, wild = runs("ring", [95.0, 100.0, 104.0]), runs("star", [95.0, 100.0, 106.0])
    (contest,) = compare_runs([*calm, *wild]).contests
    assert [line for line in contest.warnings if "scatter" in line] == ["star scatters: its 3 repeats lie 11% apart"]


def test_an_entry_above_the_ceiling_is_a_warning(runs):
    (contest,) = compare_runs([*runs("noop", [100.0]), *runs("ring", [120.0])]).contests
    assert any(line.startswith("ring is at 1.2× the ceiling, which is impossible") for line in contest.warnings)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"cpu": "b"}, "machine differs, cpu a: ring; b: star"),
        ({"cores": 8}, "machine differs, cores 2: ring; 8: star"),
        ({"versions": {"torch": "3.0"}}, "versions differ, torch 2.1: ring; 3.0: star"),
        ({"commit": "ef"}, "versions differ, commit ab: ring; ef: star"),
        ({"threads_per_rank": 4}, "threads differ, per rank 1: ring; 4: star"),
    ],
)
def test_another_machine_version_or_thread_count_is_a_warning(runs, changed, line):
    ring, (star,) = runs("ring", [1.0]), runs("star", [1.0])
    (star.path / "env.json").write_text(json.dumps({**ENV, **changed}))
    assert compare_runs([*ring, star]).contests[0].warnings == (line,)
    assert compare_runs([*ring, star]).refusal is None


def test_another_transport_is_a_warning_for_contenders(runs):
    every = [*runs("ring", [1.0]), *runs("noop", [1.0], transport="tcp"), *runs("star", [1.0], transport="tcp")]
    assert compare_runs(every).contests[0].warnings == ("transport differs, ipc: ring ipc; tcp: star",)


def test_an_engine_with_its_own_transport_is_no_warning(runs):
    every = [*runs("ring", [1.0]), *runs("gloo", [1.0], own_transport="tcp"), *runs("mpi", [1.0], own_transport="sm")]
    assert compare_runs(every).contests[0].warnings == ()


def test_the_warnings_do_not_depend_on_the_order_of_the_runs(runs):
    ring, star, tree = (
        runs(name, [1.0], transport="shm" if name == "star" else "ipc") for name in ("ring", "star", "tree")
    )
    told = {compare_runs(every).contests[0].warnings for every in ([*ring, *star, *tree], [*star, *tree, *ring])}
    assert told == {("transport differs, ipc: ring, tree; shm: star shm",)}


def test_runs_of_an_unknown_machine_are_a_warning(runs):
    ring, (star,) = runs("ring", [1.0]), runs("star", [1.0])
    (star.path / "env.json").unlink()
    (warning,) = compare_runs([*ring, star]).contests[0].warnings
    assert warning.endswith("so the machine is unknown: star")


def test_a_missing_yardstick_and_ceiling_are_warnings(runs):
    assert compare_runs([*runs("ring", [1.0]), *runs("star", [1.0])]).warnings == (
        "without single among them there is no yardstick",
        "without noop among them there is no ceiling",
    )
    assert compare_runs([*runs("ring", [1.0]), *runs("single", [1.0]), *runs("noop", [1.0])]).warnings == ()


def test_cells_that_failed_without_a_run_and_half_written_runs_are_warnings(runs, tmp_path):
    runs("ring", [1.0])
    (tmp_path / "half" / "ranks").mkdir(parents=True)
    cells = [
        {"cell": "ring-w2", "repeat": 0, "status": "ok", "folder": "000", "error": None, "seconds": 1.0},
        {"cell": "star-w2", "repeat": 1, "status": "failed", "folder": None, "error": "no\nport", "seconds": 1.0},
        {"cell": "tree-w2", "repeat": 0, "status": "failed", "folder": "half", "error": "died", "seconds": 1.0},
        {"cell": "ps-w2", "repeat": 0, "status": "failed", "folder": "000", "error": "seen", "seconds": 1.0},
    ]
    (tmp_path / "cells.jsonl").write_text("".join(json.dumps(cell) + "\n" for cell in cells) + '{"cell": "ha')
    assert compare_paths([str(tmp_path)]).warnings == (
        f"half-written run, passed over: {tmp_path / 'half'}",
        "cell star-w2 failed without a run: no port",
        "cell tree-w2 failed without a run: died",
    )
    (tmp_path / "cells.jsonl").write_text("nonsense\n")
    with pytest.raises(ConfigError, match=r"cells\.jsonl, line 1 is not valid JSON"):
        compare_paths([str(tmp_path)])


def test_a_run_that_was_removed_from_a_sweep_is_a_warning(runs, tmp_path):
    runs("ring", [1.0])
    cell = {"cell": "ring-w2", "repeat": 2, "status": "ok", "folder": "gone", "error": None, "seconds": 1.0}
    (tmp_path / "cells.jsonl").write_text(json.dumps(cell) + "\n")
    line = "cell ring-w2 is done, and its run gone was removed"
    assert compare_paths([str(tmp_path)]).warnings == (line,)
    assert line in compare_paths([f"{tmp_path}*"]).warnings  # a pattern finds the sweep too


@pytest.mark.parametrize("pattern", [False, True])
def test_a_sweep_that_is_not_finished_is_a_warning_that_says_how_to_go_on(tmp_path, pattern):
    folder = tmp_path / "a sweep"
    write_run(folder, "ring", name="run")
    found = sweep("strategies: [ring, ps-bsp]\nworkers: [2, 4]\nrepeats: 2")  # with single and noop
    cells = [cell.id for cell in make_grid(found).cells]
    every = [entry(cell, repeat, "run") for repeat in (1, 2) for cell in cells]
    (folder / "sweep.yaml").write_text(found.to_yaml())

    def warned(lines):
        (folder / "cells.jsonl").write_text("".join(to_line(line).decode() for line in lines))
        return list(compare_paths([f"{tmp_path}/a*" if pattern else folder]).warnings)

    assert warned(every) == []
    assert warned(every[:5]) == [
        f"the sweep is not finished, 5 of 16 runs are done: go on with syncbench sweep --resume '{folder}'"
    ]
    (line,) = warned([*every[:5], entry("tree-w2-0", 1, "run")])
    assert line.startswith(f"whether the sweep in {folder} is finished is unknown: ")


@pytest.mark.parametrize("together", [False, True])
def test_a_pattern_that_finds_an_earlier_sweep_too_is_a_warning(tmp_path, together):
    names = ["20260101T000000Z-sweep-scaling-aaaaaa", "20260102T000000Z-sweep-scaling-bbbbbb", "before", "after"]
    for place, name in enumerate(names):
        for strategy in ("ring", "star"):
            write_run(tmp_path / name, strategy, samples_per_second=100.0 + place)
        (tmp_path / name / "sweep.yaml").write_text("strategies: [ring, star]\n")
    asked = [f"{tmp_path}/2026*"] if together else [str(tmp_path / name) for name in names[:2]]
    told = [line for line in compare_paths(asked).warnings if "sweeps" in line]
    what = "taken for repeats of one" if together else "compared"
    assert told == [
        f"2 sweeps called scaling are {what}, {names[0]} and {names[1]}: to use one of them, name its folder"
    ]
    for fine in ([str(tmp_path / names[1])], [str(tmp_path / name) for name in names[2:]]):
        assert not [line for line in compare_paths(fine).warnings if "sweeps" in line]
