"""The verb `sweep` on the command line, as far as nothing is started."""

import json
import subprocess
from contextlib import nullcontext

import pytest
from sweeps import entry, pretend

from common.errors import ConfigError
from experiments.schema.files import to_line
from experiments.sweep.estimate import START_OF_SWEEP


@pytest.fixture
def answer(answer, monkeypatch, tmp_path):
    """As everywhere, in a folder of its own, and nothing can be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pretend)
    return answer


@pytest.fixture
def refused(answer, monkeypatch, tmp_path):
    def start(*given):
        raise AssertionError("something was started")

    monkeypatch.setattr("experiments.sweep.runner.run_cells", start)

    def run_it(*words):
        code, out, err = answer(*words)
        assert (code, out) == (2, "")
        assert err.startswith("syncbench: ")
        assert err.count("\n") == 1
        assert not (tmp_path / "results").exists()
        return err

    return run_it


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("sweep", "give a sweep file, a ready sweep (incast, scaling, "),
        ("sweep scalng", "no such sweep file: scalng: did you mean scaling"),
        ("sweep not/there.yaml", "no such sweep file: not/there.yaml"),
        ("sweep scaling --wrkers 2", "unknown option --wrkers: did you mean --workers"),
        ("sweep scaling --workers two", "--workers: 'two' is not a whole number"),
        ("sweep scaling --repeats 0", "--repeats is 0"),
        ("sweep scaling --strategies rnig", "unknown strategy 'rnig': did you mean ring?"),
        ("sweep scaling --hidden 64,x", "--hidden: layer sizes are whole numbers"),
        ("sweep --workers 2", "or --strategies ring,ps-bsp"),
        ("sweep --strategies ring --servers 1,2", "none of the strategies has servers"),
        ("sweep --resume nowhere", "--resume nowhere: there is no such folder"),
        ("sweep --resume .", "this is no sweep's folder"),
        ("sweep --resume . --workers 2", "leave workers out"),
        ("sweep scaling --resume .", "leave scaling out"),
        ("sweep --resume . --quick", "leave quick out"),
        ("sweep scaling --strategy.every 3", "--strategy.every belongs to the verb run"),
    ],
)
def test_bad_usage_is_one_line_that_helps(refused, words, complaint):
    assert complaint in refused(*words.split())


def test_the_folder_of_a_sweep_that_is_not_as_it_was_is_refused(answer, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    assert answer("sweep", "--strategies", "ring", "--results", "r")[0] == 0
    (folder,) = (tmp_path / "r").iterdir()
    line = {"cell": "tree-w4-1", "repeat": 1, "status": "ok", "folder": "x", "error": None, "seconds": 1.0}
    (folder / "cells.jsonl").write_text(json.dumps(line) + "\n")
    code, _, err = answer("sweep", "--resume", folder)
    assert code == 2
    assert "has no cell tree-w4-1, which was run: it is not as it was" in err


def test_a_dry_run_shows_the_grid_and_starts_nothing(answer, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", None)
    words = ("sweep", "--strategies", "ring,ps-backup", "--workers", "1,2", "--servers", "1,2", "--steps", "100")
    code, out, _ = answer(*words, "--dry-run")
    assert code == 0
    assert "ps-backup" in out
    assert "flags: 8 cells, 5 times in turns: 40 runs, about " in out
    assert "servers: no axis for ring, single, noop" in out
    assert "left out: ps-backup workers=1 servers=1 and 1 more: --strategy.backups is 1 of 1 workers" in out
    assert list(tmp_path.iterdir()) == []

    code, out, _ = answer(*words, "--dry-run", "--json")
    told = json.loads(out)
    assert len(told["cells"]) == 8
    assert len(told["left_out"]) == 2
    assert told["results_dir"] is None
    assert told["estimated_seconds"] == pytest.approx(
        START_OF_SWEEP + 5 * sum(cell["estimated_seconds"] for cell in told["cells"]), abs=0.5
    )


def test_flags_with_commas_of_their_own_are_repeated(answer):
    code, out, _ = answer(
        "sweep",
        "--strategies",
        "ring,tree",
        "--strategies",
        "star",
        "--hidden",
        "64",
        "--hidden",
        "256,128",
        "--print_config",
    )
    assert code == 0
    assert "strategies: [ring, tree, star]" in out
    assert "hidden: ['64', '256,128']" in out


def test_print_config_prints_a_file_that_says_the_same(answer, tmp_path):
    code, out, _ = answer("sweep", "servers", "--quick", "--repeats", "3", "--print_config")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(out)
    assert answer("sweep", "mine.yaml", "--print_config") == (0, out, "")


def test_every_setting_of_a_run_is_a_flag_of_a_sweep(answer):
    from experiments.sweep.spec import RUN_SETTINGS

    code, out, _ = answer("sweep", "--strategies", "ps-bsp", "--print_config")
    assert code == 0
    assert all(f"\n{key}: " in out for key in RUN_SETTINGS)


def test_at_the_end_it_says_where_it_is_what_comes_next_and_why_nothing_can_be_compared(answer, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    code, out, err = answer("sweep", "--strategies", "ring", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    assert code == 0
    assert out.splitlines() == [
        f"results: r/{folder.name}",
        "next:",
        *(f"  syncbench {name} r/{folder.name}" for name in ("compare", "plot", "report")),
    ]
    assert err == f"no comparison: no complete run in r/{folder.name}\n"
    assert json.loads(answer("sweep", "--resume", folder, "--json")[1])["failed"] == []


@pytest.mark.parametrize(
    ("interrupt", "code"),
    [(KeyboardInterrupt(), 130), (ConfigError("no room"), 2), (OSError(28, "No space left on device"), 2)],
)
def test_a_sweep_that_is_stopped_says_how_to_go_on(answer, monkeypatch, tmp_path, interrupt, code):
    def stop(*given):
        raise interrupt

    monkeypatch.setattr("experiments.sweep.runner.conduct", stop)
    monkeypatch.setattr("experiments.sweep.runner.executor", lambda *given: nullcontext())
    ended, out, err = answer("sweep", "--strategies", "ring", "--results", "r", "--calibrate", "false")
    (folder,) = (tmp_path / "r").iterdir()
    assert (ended, out) == (code, "")
    assert err.endswith(f"go on with: syncbench sweep --resume r/{folder.name}\n")
    assert "--results" not in err  # of no use to a sweep that has its folder


def test_a_folder_that_cannot_be_gone_on_in_is_no_matter_of_another_one(answer, monkeypatch, tmp_path):
    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    answer("sweep", "--strategies", "ring", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    said = f"syncbench: results cannot be written to {folder}: no space left on device\n"
    assert answer("sweep", "--resume", folder) == (2, "", said)


def test_a_dry_run_of_a_sweep_that_was_stopped_shows_what_is_left(answer, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    answer("sweep", "--strategies", "ring,tree", "--workers", "2", "--repeats", "3", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    cells = {cell["strategy"]: cell for cell in json.loads(answer("sweep", "--resume", folder, "--json")[1])["cells"]}
    done = [(name, repeat) for name in ("ring", "single", "noop") for repeat in (1, 2, 3)] + [("tree", 1)]
    lines = [entry(cells[name]["cell"], repeat, f"{name}{repeat}", 7.0) for name, repeat in done]
    (folder / "cells.jsonl").write_text("".join(to_line(line).decode() for line in lines))
    before = sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir())

    code, out, err = answer("sweep", "--resume", folder, "--dry-run")
    assert (code, err) == (0, "")
    assert "2 of 3" in out
    assert "tree" in out
    assert "ring " not in out  # of which nothing is left
    assert out.splitlines()[-1] == "left: 2 of 12 runs, about 14 s"  # what the first one took
    told = json.loads(answer("sweep", "--resume", folder, "--dry-run", "--json")[1])
    assert {cell["strategy"]: cell["runs_left"] for cell in told["cells"]} == {
        "ring": 0, "tree": 2, "single": 0, "noop": 0,
    }  # fmt: skip
    assert told["results_dir"] == str(folder)
    assert sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir()) == before

    more = [entry(cells["tree"]["cell"], repeat) for repeat in (2, 3)]
    (folder / "cells.jsonl").write_text("".join(to_line(line).decode() for line in [*lines, *more]))
    assert answer("sweep", "--resume", folder, "--dry-run")[1].endswith("left: nothing, all runs are done\n")


def test_a_damaged_journal_is_refused_before_anything_is_measured(answer, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    answer("sweep", "--strategies", "ring", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    (folder / "cells.jsonl").write_text("rubbish\n")
    monkeypatch.setattr(subprocess, "run", None)
    code, out, err = answer("sweep", "--resume", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cells.jsonl, line 1 is not valid JSON" in err


def test_going_on_with_a_finished_sweep_starts_no_agent(answer, monkeypatch, tmp_path):
    def done(turns, journal, *rest):
        for cell, repeat in turns:
            journal.add(entry(cell.id, repeat))

    words = ("sweep", "--strategies", "ring", "--results", "r", "--calibrate", "false")
    monkeypatch.setattr("experiments.sweep.runner.conduct", done)
    monkeypatch.setattr("experiments.sweep.runner.executor", lambda *given: nullcontext())
    assert answer(*words)[0] == 0
    (folder,) = (tmp_path / "r").iterdir()
    monkeypatch.setattr("experiments.sweep.runner.executor", None)
    code, _, err = answer("sweep", "--resume", folder)
    assert code == 0
    assert "done before: 15 of 15 runs" in err


@pytest.mark.parametrize("text", ["[1]", '{"versions": null}', "rubbish"])
def test_a_damaged_environment_is_written_anew(answer, monkeypatch, tmp_path, text):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    answer("sweep", "--strategies", "ring", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    (folder / "env.json").write_text(text)
    assert "warning" not in answer("sweep", "--resume", folder)[2]
    assert "torch" in json.loads((folder / "env.json").read_text())["versions"]


def test_going_on_elsewhere_is_a_warning_and_says_what_has_changed(answer, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.sweep.runner.run_cells", lambda *given: None)
    answer("sweep", "--strategies", "ring", "--results", "r")
    (folder,) = (tmp_path / "r").iterdir()
    assert "warning" not in answer("sweep", "--resume", folder)[2]
    env = json.loads((folder / "env.json").read_text())
    env["versions"]["torch"] = "0.1"
    (folder / "env.json").write_text(json.dumps(env))
    assert "with other versions: torch was 0.1, is " in answer("sweep", "--resume", folder)[2]

    (folder / "env.json").unlink()  # killed before it was written
    assert "warning" not in answer("sweep", "--resume", folder)[2]
    assert json.loads((folder / "env.json").read_text())["versions"]["torch"] != "0.1"
