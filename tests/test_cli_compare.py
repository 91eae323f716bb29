"""The verb compare shows the verdict, tables that fit and warnings; as JSON and CSV it has the same values."""

import csv
import io
import json
from functools import partial

import pytest
from charts import predict
from rich.console import Console
from runs import fail, write_run

from experiments.comparison import predictions as predictions_module
from experiments.comparison.compare import compare_runs
from experiments.comparison.export import comma_separated, document
from experiments.comparison.predictions import with_predictions
from experiments.comparison.render import markdown_comparison, terminal_parts
from experiments.format.table import terminal_table
from experiments.runs.find import find_runs, load_run

NAMES = ("single", "noop", "ps-bsp", "star", "ring", "halving-doubling")


@pytest.fixture
def sweep(tmp_path):
    """Three repeats of six strategies on 1, 2, 4 and 8 workers; the strategies differ by a tenth each."""
    count = iter(range(1000))
    for workers in (1, 2, 4, 8):
        for repeat in (1.0, 1.01, 0.99):
            for place, name in enumerate(NAMES):
                rate = 1000.0 * workers * repeat * (1 + place / 10)
                fields = {"workers": workers, "batch": 32 * workers, "ledger_sha256": f"{workers}"}
                write_run(tmp_path, name, name=f"{next(count):03}", samples_per_second=rate, **fields)
    return tmp_path


@pytest.fixture
def pair(tmp_path):
    """Writes `single` and a second run; `changed` is what is different about the second run."""

    def make(**changed):
        return [
            write_run(tmp_path, "single", name="1"),
            write_run(tmp_path, "ring", name="2", samples_per_second=100.0, **changed),
        ]

    return make


@pytest.fixture
def answer(answer):
    """Run `compare` in this process: (exit code, standard output, standard error)."""
    return partial(answer, "compare")


def lines_of(comparison, width=120):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in terminal_parts(comparison):
        console.print(part if isinstance(part, str) else terminal_table(part, console.width))
    return console.file.getvalue().splitlines()


def test_a_run_alone_is_not_compared_with_itself(tmp_path, answer):
    for count, strategy in enumerate(("ring", "single"), 1):
        write_run(tmp_path, strategy)
        code, out, _ = answer(tmp_path, "--markdown")
        assert (code, out.count("| same as")) == (0, 2 if count > 1 else 0)


def test_a_sweep_of_four_worker_counts_and_six_strategies_is_readable_at_120_columns(sweep):
    lines = lines_of(compare_runs(find_runs([sweep])))
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("From 1 to 8 workers halving-doubling makes 8.0 times the samples/s, ")
    titles = [line for line in lines if "workers, batch" in line or "worker, batch" in line]
    assert [title.split()[0] for title in titles] == ["1", "2", "4", "8"]
    for name in NAMES:
        rows = [line for line in lines[lines.index("") :] if line.startswith(f"{name} ")]
        assert len(rows) == 4  # one unbroken line in each contest
    assert all("95 %" in "".join(lines) and word in "".join(lines) for word in ("verdict", "ceiling", "process"))
    assert any(line.startswith("limits: ") for line in lines[-4:])


@pytest.mark.parametrize("width", [80, 100])
def test_narrow_terminals_get_the_columns_that_matter(sweep, width):
    lines = lines_of(compare_runs(find_runs([sweep])), width=width)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines[lines.index("") :] if line.startswith("halving-doubling ")]
    assert [("1.25×" in row, "faster" in row, "k" in row) for row in rows] == [(True, True, True)] * 4


def test_a_single_contest_shows_where_the_time_of_a_step_goes(tmp_path):
    found = [load_run(write_run(tmp_path, name)) for name in NAMES]
    text = "\n".join(lines_of(compare_runs(found)))
    assert all(word in text for word in ("prep", "train", "sync", "sends", "no verdict"))
    assert "interval" not in text  # one repeat each


def test_json_has_every_figure_and_no_secrets_of_python(sweep):
    found = document(compare_runs(find_runs([sweep])))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["axes"] == {"workers": [1, 2, 4, 8]}
    entry = next(one for one in found["contests"][2]["entries"] if one["label"] == "ring")
    assert entry["samples_per_second"]["median"] == pytest.approx(5600.0)
    assert entry["ratio"]["median"] == pytest.approx(1.4 / 1.2)
    assert (entry["verdict"], entry["refused"], entry["computed"]) == ("faster", None, "same")
    assert entry["per_worker"] == pytest.approx(1400.0)
    assert len(entry["rates"]) == len(entry["runs"]) == 3
    assert len(found["runs"]) == 24


def test_csv_has_a_line_for_each_entry(sweep):
    rows = list(csv.DictReader(io.StringIO(comma_separated(compare_runs(find_runs([sweep]))))))
    assert [(row["workers"], row["label"]) for row in rows] == [(w, name) for w in "1248" for name in NAMES]
    ring = rows[4]
    assert float(ring["ratio_low"]) < float(ring["ratio_median"]) < float(ring["ratio_high"])
    assert comma_separated(compare_runs([])) == ""


def test_markdown_has_a_table_for_each_contest(sweep):
    text = markdown_comparison(compare_runs(find_runs([sweep])))
    assert text.startswith("**From 1 to 8 workers ")
    assert text.count("| halving-doubling |") == 4
    assert "\n\nLimits: " in text


def test_predictions_stand_beside_measurements(pair):
    comparison = compare_runs([load_run(folder) for folder in pair()])
    predicted = predict(comparison, "ring", 80.0)
    text = "\n".join(lines_of(predicted))
    assert "dicted" in text
    assert "+25%" in text
    entry = document(predicted)["contests"][0]["entries"][1]
    assert (entry["predicted"], entry["residual"]) == (80.0, pytest.approx(0.25))
    assert "dicted" not in "\n".join(lines_of(comparison))


def test_a_strategy_without_predictions_is_named_with_the_reason(tmp_path):
    for name in ("ring", "ps-async", "star"):
        write_run(tmp_path, name)
    comparison = compare_runs(find_runs([tmp_path]))
    why = "not predicted: ps-async: the formulas take it that every worker waits for all others in each step"
    predicted = predict(comparison, "ring", 80.0)
    assert why in " ".join(lines_of(predicted)).replace("  ", " ")
    assert f"- {why}\n" in markdown_comparison(predicted)
    assert why not in markdown_comparison(comparison)


def test_predictions_need_a_calibration(pair, tmp_path, monkeypatch):
    comparison = compare_runs([load_run(folder) for folder in pair()])
    asked = []
    monkeypatch.setattr(predictions_module, "read_calibration", lambda file: file)
    monkeypatch.setattr(predictions_module, "predicted_rate", lambda entry, contest, read: asked.append(read) or 50.0)
    assert (with_predictions(comparison), asked) == (comparison, [])
    (tmp_path / "calibration.json").write_text("{}")
    found = {entry.label: entry.predicted for entry in with_predictions(comparison).entries}
    assert found == {"single": None, "ring": 50.0}  # the yardstick and the ceiling are not predicted
    assert asked == [tmp_path / "calibration.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "figures": [{"alpha": -1}]}'])
def test_a_damaged_calibration_costs_the_predictions_and_nothing_else(pair, tmp_path, answer, damage):
    folders = pair()
    (tmp_path / "calibration.json").write_text(damage)
    code, out, err = answer(*folders, "--json")
    assert (code, err) == (0, "")
    warnings = [line for line in json.loads(out)["warnings"] if "calibration" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"no predictions: {tmp_path / 'calibration.json'}")


@pytest.mark.parametrize("words", [(), ("--json",), ("--markdown",), ("--csv",)])
def test_a_folder_of_runs_a_pattern_and_the_runs_are_the_same(pair, tmp_path, answer, words):
    folders = pair()
    code, out, err = answer(*folders, *words)
    assert (code, err) == (0, "")
    assert all(name in out for name in ("ring", "single"))
    assert answer(tmp_path, *words) == (code, out, err)
    assert answer(f"{tmp_path}/*", *words) == (code, out, err)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"ledger_sha256": "ef56", "seed": 1},
            "ring seed 1 trained on different samples than single: seed 0 and 1",
        ),
        (
            {"params": [3.0, 4.01]},
            "ring did not compute what single did: its parameters differ from those of single by 2e-03, "
            "where 1e-04 is allowed",
        ),
    ],
)
def test_incomparable_runs_are_refused_in_one_line_unless_shown_anyway(pair, answer, changed, reason):
    folders = pair(**changed)
    complaint = f"syncbench: cannot compare: {reason}; --anyway shows them all the same\n"
    assert answer(*folders) == (3, "", complaint)
    assert answer(*folders, "--markdown") == (3, "", complaint)
    code, out, err = answer(*folders, "--json")
    assert (code, err) == (3, complaint)
    assert (json.loads(out)["comparable"], json.loads(out)["reason"]) == (False, reason)
    assert [one["refused"] is None for one in json.loads(out)["contests"][0]["entries"]] == [True, False]

    code, out, err = answer(*folders, "--anyway")
    assert (code, err) == (0, "")
    assert "✗ not comparable" in out
    assert f"not comparable: {reason}" in " ".join(out.split())
    code, out, err = answer(*folders, "--anyway", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["comparable"] is False


def test_one_strategy_on_two_numbers_of_workers_is_no_comparison(tmp_path, answer):
    folders = [
        write_run(tmp_path, "ring", name=f"{workers}", workers=workers, batch=32 * workers, ledger_sha256=f"{workers}")
        for workers in (2, 4)
    ]
    code, out, err = answer(*folders)
    assert (code, out) == (3, "")
    assert err == (
        "syncbench: cannot compare: no two of these did the same work: ring (2 workers) and ring (4 workers); --anyway "
        "shows them all the same\n"
    )
    assert answer(*folders, "--anyway")[0] == 0


def test_failed_runs_are_listed_with_their_error(pair, tmp_path, answer):
    pair()
    lost = write_run(tmp_path, "star", name="3", **fail())
    line = "failed: star in 3: PeerFailed: worker rank 2, stage train, step 3: killed by signal 9"
    for words in ((), ("--markdown",)):
        code, out, err = answer(tmp_path, *words)
        assert (code, err) == (0, "")
        assert line in out
    assert json.loads(answer(tmp_path, "--json")[1])["failed"][0]["run"] == str(lost)
    assert answer(tmp_path, "--csv")[2] == f"left out: {lost} (failed after 3 steps)\n"
    assert answer(lost)[::2] == (
        3,
        f"left out: {lost} (failed after 3 steps)\nsyncbench: nothing to show: no run came to its end\n",
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("rign-*", "no file or folder matches rign-*"),
        ("empty", "no complete run in empty: it is empty"),
        ("half", "half-written run, or not a run folder: half has no summary.json"),
        ("hal?", "no complete run matches hal? (1 half-written)"),
        ("outer", "no complete run in outer itself: name the folder in it, such as outer/sweep"),
        ("outer/sweep --baseline rign", "no baseline 'rign' among these runs: did you mean ring?"),
        ("outer/sweep --json --csv", "--json and --csv: one form at a time"),
        ("outer/sweep --loss low", "--loss: give a number, or auto for a loss that all runs reached, not 'low'"),
    ],
)
def test_a_new_users_mistakes_are_one_line_each(tmp_path, monkeypatch, answer, words, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "half" / "ranks").mkdir(parents=True)
    write_run(tmp_path / "outer" / "sweep", "ring")
    assert answer(*words.split()) == (2, "", f"syncbench: {line}\n")


def test_the_seconds_to_a_loss_are_shown_if_asked_for(pair, answer, sweep):
    folders = pair()
    assert "seconds to a loss of" in answer(*folders, "--loss", "auto")[1]
    found = json.loads(answer(*folders, "--loss", "0.5", "--json")[1])["seconds_to_loss"]
    assert found["loss"] == 0.5
    assert list(found["seconds"]) == ["single", "ring"]
    code, _, err = answer(sweep, "--anyway", "--loss", "auto")
    assert (code, err.count("\n")) == (3, 1)
