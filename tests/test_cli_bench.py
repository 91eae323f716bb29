"""The verb bench: results before plots, and what an interrupted benchmark leaves."""

import json
from types import SimpleNamespace

import benches
import msgspec
import pytest

from experiments.bench import run as bench_run


@pytest.fixture
def benched(monkeypatch, tmp_path):
    """As if a benchmark had been run, with `wrong` elements; drawing it raises `unplottable`, if set."""
    world = SimpleNamespace(wrong=0, unplottable=None)

    def run_it(options, plan, agent, results, progress):
        measured = benches.document(benches.plan(), wrong=[(1, 0, world.wrong)])
        return msgspec.structs.replace(measured, results_dir=str(tmp_path))

    def plot(document, folder):
        print("plotting")
        if world.unplottable is not None:
            raise world.unplottable

    monkeypatch.setattr("experiments.cli.bench.run_bench", run_it)
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

    def run_it(options, plan, agent, results, progress):
        return bench_run.run_bench(options, plan, Agent(), results, lambda *_: None)

    monkeypatch.setattr("experiments.cli.bench.run_bench", run_it)
    monkeypatch.setattr(bench_run, "measure", lambda: benches.LIMITS)
    monkeypatch.setattr(bench_run.intervals, "load", lambda: happened.append("statistics are loaded"))
    code, _, err = answer(*benched.words)
    assert happened == ["statistics are loaded", "ranks start"]  # or the user who interrupts it waits for them
    (file,) = tmp_path.glob("*/bench.json")
    assert code == 130
    assert json.loads(file.read_text())["status"] == "partial"
    announced, *said = err.splitlines()
    assert "1 size, 5 times in turns" in announced
    assert said == ["syncbench: interrupted; all ranks have ended", f"what was measured is in {file.parent}"]
