"""The verbs that only read: their answers, for people and as JSON, and their exit codes."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import benches
import pytest
from runs import write_run

from common.data import DATASETS, ELSEWHERE
from common.errors import CheckFailed
from common.models import MODELS
from common.pipeline.partition import PARTITIONERS
from common.pipeline.transform_names import TRANSFORMS
from experiments.bench import run as bench_run
from experiments.cli.demo import DEMO
from experiments.cli.run_plans import check_replicas
from experiments.config import strategies
from experiments.config.strategies import BUILTIN
from experiments.runs.find import load_run

NOTHING = "nothing to show: no run came to its end"


@pytest.fixture
def benched(monkeypatch, tmp_path):
    """As if a benchmark had been run, with `wrong` elements; drawing it raises `unplottable`, if set."""
    world = SimpleNamespace(wrong=0, unplottable=None)

    def run_it(options, spec, results):
        measured = benches.document(benches.spec(), wrong=[(1, 0, world.wrong)])
        return SimpleNamespace(folder=tmp_path, document=measured)

    def plot(document, folder):
        print("plotting")
        if world.unplottable is not None:
            raise world.unplottable

    monkeypatch.setattr("experiments.cli.bench.measure", run_it)
    monkeypatch.setattr("experiments.charts.bench.plot_bench", plot)
    world.words = ("bench", "--strategies", "ring", "--sizes", "4KiB", "--results", tmp_path)
    return world


def test_a_benchmark_is_shown_before_it_is_plotted(answer, benched):
    code, out, _ = answer(*benched.words)
    shown, plotted = out.split("plotting\n")
    assert code == 0
    assert "results: " in shown
    assert plotted.startswith("plots: ")
    code, out, _ = answer(*benched.words, "--json")
    assert json.loads(out.removesuffix("plotting\n"))["rows"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no luck\nat all"), KeyError()])
@pytest.mark.parametrize(("wrong", "expected"), [(0, 0), (1, 3)])
def test_a_plot_that_fails_is_a_warning_and_changes_no_exit_code(answer, benched, error, wrong, expected):
    benched.wrong, benched.unplottable = wrong, error
    code, out, err = answer(*benched.words)
    (warning,) = (line for line in err.splitlines() if line.startswith("warning: "))
    assert code == expected
    assert warning.startswith("warning: the plots could not be drawn: ")
    assert "results: " in out
    assert "plots: " not in out


def test_an_interrupted_benchmark_says_where_its_part_is(answer, benched, monkeypatch, tmp_path):
    happened = []

    class Agent:
        def run(self, *_):
            happened.append("ranks start")
            raise KeyboardInterrupt

    def run_it(options, spec, results):
        return bench_run.run_bench(options, spec, Agent(), results, lambda *_: None)

    monkeypatch.setattr("experiments.cli.bench.measure", run_it)
    monkeypatch.setattr(bench_run, "measured_limits", lambda: benches.LIMITS)
    monkeypatch.setattr(bench_run.intervals, "load", lambda: happened.append("statistics are loaded"))
    code, _, err = answer(*benched.words)
    assert happened == ["statistics are loaded", "ranks start"]  # or whoever interrupts it waits for them
    (file,) = tmp_path.glob("*/bench.json")
    assert code == 130
    assert json.loads(file.read_text())["status"] == "partial"
    announced, *said = err.splitlines()
    assert "1 size, 5 times in turns" in announced
    assert said == ["syncbench: interrupted; all ranks have ended", f"what was measured is in {file.parent}"]


def test_list_names_everything_and_says_what_it_is(answer):
    code, out, err = answer("list")
    assert (code, err) == (0, "")
    for name in [*BUILTIN, *MODELS, *DATASETS, *ELSEWHERE, *PARTITIONERS, *TRANSFORMS]:
        assert re.search(rf"^  {name} +\S", out, re.MULTILINE)
    assert re.search(r"^  ps-ssp .*\n +options: --strategy.staleness, ", out, re.MULTILINE)


def test_list_as_json_says_what_each_strategy_promises(answer):
    code, out, err = answer("list", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert set(found["strategies"]) == set(BUILTIN)
    assert found["strategies"]["ps-bsp"]["servers"] is True
    assert found["strategies"]["ring"]["consistency"] == "bsp"
    assert found["strategies"]["ring"]["options"] == []
    assert found["strategies"]["double-tree"]["options"] == ["chunks"]
    assert (set(found["models"]), set(found["data"])) == (set(MODELS), {*DATASETS, *ELSEWHERE})
    assert (set(found["partitioners"]), set(found["transforms"])) == (set(PARTITIONERS), set(TRANSFORMS))


@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_a_broken_plug_in_does_not_take_the_list_away(answer, monkeypatch, words):
    broken = EntryPoint("broken", "not_installed_at_all:Strategy", strategies.GROUP)
    monkeypatch.setattr(strategies, "entry_points", lambda group: [broken])
    code, out, err = answer(*words)
    assert (code, err) == (0, "")
    assert "ring" in out
    assert "the module does not exist" in out


def test_env_says_what_results_depend_on(answer):
    code, out, err = answer("env", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert {"python", "cpu", "cores", "commit", "versions"} <= set(found)
    code, out, err = answer("env")
    assert (code, err) == (0, "")
    assert all(name in out for name in found)


def test_demo_runs_strategies_that_exist():
    assert set(DEMO) <= set(BUILTIN)
    assert {"single", "noop"} <= set(DEMO)


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


def test_a_strategy_that_breaks_its_promise_of_equal_replicas_is_found_out(tmp_path):
    fine = load_run(write_run(tmp_path, "ring"))
    check_replicas([fine, load_run(write_run(tmp_path, "noop", replicas_equal=False, params_sha256=["a", "b"]))])
    with pytest.raises(CheckFailed, match=r"star promises equal replicas, but 2 of"):
        check_replicas([fine, load_run(write_run(tmp_path, "star", params_sha256=["a", "b"]))])


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
