"""The verb plot: which runs are drawn, and where the files are."""

import json
from pathlib import Path

from runs import write_run

NOTHING = "nothing to show: no run came to its end"


def test_runs_that_did_not_end_are_named_and_not_drawn(tmp_path, answer):
    ended, cut = write_run(tmp_path, "ring"), write_run(tmp_path, "star", status="partial", ledger_sha256=None)
    code, out, _ = answer("plot", ended, cut, "--json")
    assert code == 0
    assert all("Not shown: star (partial)" in chart["note"] for chart in json.loads(out)["charts"])
    assert answer("plot", cut)[::2] == (3, f"syncbench: {NOTHING}\n")


def test_runs_on_different_samples_are_drawn_as_such(tmp_path, answer):
    folders = [write_run(tmp_path, "single"), write_run(tmp_path, "ring", ledger_sha256="ef56", seed=1)]
    code, out, _ = answer("plot", *folders, "--json")
    assert code == 0
    first = json.loads(out)["charts"][0]
    assert first["name"] == "throughput"
    assert "Not comparable, so in grey: ring" in first["note"]


def test_plots_are_three_files_each_in_the_runs_own_folder_or_where_asked(tmp_path, answer):
    folder = write_run(tmp_path, "ring")
    code, out, err = answer("plot", folder, "--json")
    assert (code, err) == (0, "")
    files = [Path(name) for name in json.loads(out)["plots"]]
    assert {file.suffix for file in files} == {".png", ".svg", ".csv"}
    assert {file.parent for file in files} == {folder / "plots"}
    assert all(file.stat().st_size > 0 for file in files)

    assert json.loads(out)["not_drawn"]["scaling"] == "all runs have the same number of workers"

    code, out, err = answer("plot", f"{tmp_path}/*-ring-*", "--out", tmp_path / "elsewhere")
    assert code == 0
    assert "not drawn: scaling: all runs have the same number of workers\n" in err
    assert sorted(map(Path, out.split())) == sorted((tmp_path / "elsewhere").iterdir())
