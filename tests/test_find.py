"""Paths and patterns find the runs that they name, and nothing half-written."""

import pytest
from runs import write_run

from common.errors import ConfigError
from experiments.runs.find import find_runs, half_written, load_run


def test_a_missing_folder_and_a_half_written_run_are_told_apart(tmp_path):
    with pytest.raises(ConfigError, match=r"^no such run folder: .*nowhere"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"^half-written run"):
        load_run(tmp_path)


def test_a_folder_of_runs_stands_for_its_runs_in_order_of_time(tmp_path):
    for name in ("2-ring", "1-single", "3-star"):
        write_run(tmp_path, name[2:], name=name)
    (tmp_path / "plots").mkdir()
    assert [run.strategy for run in find_runs([tmp_path])] == ["single", "ring", "star"]


def test_named_runs_keep_the_order_of_naming_and_count_once(tmp_path):
    one, two = (write_run(tmp_path, name[2:], name=name) for name in ("1-ring", "2-star"))
    assert [run.strategy for run in find_runs([two, tmp_path, two / ".." / one.name])] == ["star", "ring"]


def test_half_written_runs_in_a_folder_are_passed_over_and_listed(tmp_path):
    write_run(tmp_path, name="1")
    half = write_run(tmp_path, name="2")
    (half / "summary.json").unlink()
    assert len(find_runs([tmp_path])) == 1
    assert half_written([tmp_path]) == [half]
    with pytest.raises(ConfigError, match="half-written run"):
        find_runs([half])


def test_a_pattern_finds_runs_and_folders_of_runs(tmp_path):
    write_run(tmp_path, "star", name="2-star")
    write_run(tmp_path / "1-sweep", "ring", name="1-ring")
    (tmp_path / "3-star.txt").write_text("no folder")
    half = write_run(tmp_path, name="4-star")
    (half / "summary.json").unlink()
    assert [run.strategy for run in find_runs([f"{tmp_path}/*"])] == ["star", "ring"]
    assert [run.strategy for run in find_runs([f"{tmp_path}/?-star"])] == ["star"]
    assert half_written([f"{tmp_path}/*star*"]) == [half]
    with pytest.raises(ConfigError, match=r"no file or folder matches .*/5-\*$"):
        find_runs([f"{tmp_path}/5-*"])
    with pytest.raises(ConfigError, match=r"no complete run matches .*/4-\* \(1 half-written\)$"):
        find_runs([f"{tmp_path}/4-*"])


def test_a_folder_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    write_run(tmp_path / "all[1]", "ring")
    assert [run.strategy for run in find_runs([tmp_path / "all[1]"])] == ["ring"]


def test_a_benchmark_is_refused_with_the_folder_of_its_plots(tmp_path):
    folder = tmp_path / "bench"
    (folder / "ranks").mkdir(parents=True)
    (folder / "bench.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"bench is a benchmark, not a run: it has no plots$"):
        find_runs([folder])
    (folder / "plots").mkdir()
    with pytest.raises(ConfigError, match=r"bench is a benchmark, not a run: its plots are in .*bench/plots$"):
        find_runs([folder])
    assert half_written([tmp_path]) == []


def test_a_folder_without_a_complete_run_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no complete run in .*$"):
        find_runs([tmp_path])
    (write_run(tmp_path) / "summary.json").unlink()
    with pytest.raises(ConfigError, match=r"no complete run in .* \(1 half-written\)"):
        find_runs([tmp_path])
    with pytest.raises(ConfigError, match="no such run folder"):
        find_runs([tmp_path / "nowhere"])
