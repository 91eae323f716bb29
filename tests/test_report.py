"""The report as a whole: what is on the page, for good runs and bad ones, and that it is one sound file."""

import json
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from charts import predict
from runs import PLACE, fail, write_run
from setuptools import find_packages

from experiments import charts
from experiments.config import RunOptions, plan
from experiments.report.build import report_on
from experiments.report.embed import Plate, Plates, fitting
from experiments.report.render import render
from experiments.runs.execute import _config
from experiments.runs.find import load_run

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """The content of a page; raises if tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.targets, self.tags, self.unnamed, self.outside = [], [], [], [], [], []
        self.text = {}  # by the tags that it is in
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a":
            self.targets.append(found.get("href"))
        if tag == "img" and not found.get("alt"):
            self.unnamed.append(found)
        address = [found.get(key) or "" for key in ("src", "href", "action", "data", "srcset")]
        self.outside += [each for each in address if each and not each.startswith(("#", "data:"))]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.text.setdefault(tag, []).append(data)

    def said(self, tag):
        return " ".join(" ".join(self.text.get(tag, [])).split())


@pytest.fixture
def no_charts(monkeypatch):
    """Charts take seconds to draw; tests that are about something else do without."""
    monkeypatch.setattr("experiments.report.build.plates", lambda *_: Plates((), "none drawn"))


def heads(table):
    return [column.name for column in table.columns]


def cells(table, head):
    """The cells of a column by the label of the entry."""
    (column,) = (column for column in table.columns if column.name == head)
    return {row.label: column.cell(row) for row in table.rows}


def full(parent):
    """Runs with all that a report can show: repeats, a stranger, a failure, one half-written."""
    for repeat in range(2):
        for strategy in ("single", "noop", "ring", "ps-bsp"):
            name = f"2025010{repeat + 1}T030405Z-{strategy}-w4-abcdef"
            folder = write_run(parent, strategy, name=name, samples_per_second=5000.0 + 100 * repeat)
            (folder / "config.yaml").write_text(_config(plan(RunOptions(strategy=strategy)).job))
            env = {"schema": 1, "cpu": "Abacus", "cores": 2, "commit": "abc", "versions": {"torch": "2.13"}}
            (folder / "env.json").write_text(json.dumps(env))
    write_run(parent, "star", ledger_sha256="ef56", seed=1)
    write_run(parent, "tree", **fail())
    (parent / "20250103T030405Z-mpi-w4-abcdef" / "ranks").mkdir(parents=True)
    return parent


def test_the_page_is_well_formed_complete_and_needs_nothing_else(tmp_path, answer):
    assert answer("report", full(tmp_path))[0] == 0
    file = tmp_path / "report.html"
    text = file.read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert all(target.removeprefix("#") in page.ids for target in page.targets)
    assert page.unnamed == []
    assert page.outside == []
    assert "script" not in page.tags
    assert "url(http" not in text
    assert page.tags.count("img") == page.tags.count("figure") >= 4
    assert page.tags.count("h1") == 1
    assert file.stat().st_size < 2_000_000


def test_the_page_says_all_that_the_runs_do(tmp_path, no_charts):
    report = report_on([full(tmp_path)])
    page = Page(render(report))
    assert page.said("h1") == report.headline
    for heading in ("Numbers", "What failed", "Charts", "What limits these runs", "Repeat it", "Environment"):
        assert heading in page.said("h2")
    told = page.said("li")
    assert "star seed 1 is not comparable: it trained on different samples" in told
    assert f"Half-written run, passed over: {tmp_path / '20250103T030405Z-mpi-w4-abcdef'}." in told
    assert "Worker rank 2 was killed by signal 9, in stage train of step 3." in page.said("p")
    assert "for repeat in $(seq 2); do" in page.said("code")
    assert "Abacus" in page.said("td")
    assert "1 January 2025, 03:04 to 2 January 2025, 03:04 UTC" in page.said("time")


def test_the_same_run_in_two_folders_is_compared_and_not_taken_for_a_repeat(tmp_path, no_charts):
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, "ring")
    (table,) = report_on([tmp_path / "before", tmp_path / "after"]).tables
    assert {row.label for row in table.rows} == {"ring (before)", "ring (after)"}


def test_names_are_text_whatever_is_in_them(tmp_path, no_charts):
    evil = "<script>alert(1)</script>&\"'"
    folder = write_run(tmp_path, evil, name="evil", model=evil)
    (folder / "env.json").write_text(json.dumps({"cpu": evil}))
    failed = write_run(tmp_path, evil, name="failed", **fail())
    (failed / "config.yaml").write_text(json.dumps({"strategy": evil}))
    text = render(report_on([tmp_path]))
    assert "<script" not in text
    assert "script" not in Page(text).tags
    assert evil in Page(text).said("h3")


def test_a_chart_with_such_a_name_is_escaped_too(tmp_path):
    write_run(tmp_path, "</svg><script>alert(1)</script>", name="evil")
    page = Page(render(report_on([tmp_path])))
    assert "script" not in page.tags
    assert page.tags.count("figure") > 0


@pytest.mark.parametrize(
    ("summary", "headline"),
    [
        (fail(), "ring did not come to its end. Worker rank 2 was killed by signal 9, in stage train of step 3."),
        (
            {
                "status": "partial",
                "error": {"type": "KeyboardInterrupt", "cause": "interrupted", **dict.fromkeys(PLACE)},
            },
            "ring did not come to its end. It was interrupted.",
        ),
    ],
)
def test_a_run_that_failed_has_a_report_too(tmp_path, answer, summary, headline):
    folder = write_run(tmp_path, "ring", **summary)
    code, out, _ = answer("report", folder)
    assert (code, out) == (0, f"{headline}\nreport: {folder / 'report.html'}\n")
    page = Page((folder / "report.html").read_text())
    assert page.said("h1") == headline
    assert page.said("h2") == "What failed Repeat it Environment"


def test_several_that_failed_are_counted(tmp_path, no_charts):
    for name in "abc":
        write_run(tmp_path, "ring", name=name, **fail())
    assert report_on([tmp_path]).headline == "None of 3 runs came to its end"


def test_predictions_stand_beside_measurements(tmp_path, no_charts, monkeypatch):
    write_run(tmp_path, "ring", samples_per_second=1000.0)
    write_run(tmp_path, "star", samples_per_second=2000.0)
    write_run(tmp_path, "ps-async", samples_per_second=3000.0)

    def predicted(comparison):
        return predict(predict(comparison, "ring", 1250.0), "star", 1900.0)

    monkeypatch.setattr("experiments.comparison.load.with_predictions", predicted)
    (table,) = report_on([tmp_path]).tables
    assert cells(table, "predicted") == {"ring": "1.25k", "star": "1.90k", "ps-async": "–"}
    assert cells(table, "residual") == {"ring": "-20%", "star": "+5%", "ps-async": "–"}
    assert "Not predicted: ps-async: " in table.caption


def test_the_verdict_on_each_is_in_the_table(tmp_path, no_charts):
    for strategy, rate in (("noop", 400.0), ("ring", 100.0), ("star", 50.0), ("tree", 101.0), ("double-tree", 200.0)):
        for repeat in range(5):
            write_run(tmp_path, strategy, name=f"{strategy}{repeat}", samples_per_second=rate + repeat / 10)
    write_run(tmp_path, "ps-bsp", ledger_sha256="ef56")
    (table,) = report_on([tmp_path], "ring").tables
    assert cells(table, "verdict") == {
        "ring": "baseline",
        "star": "slower",
        "tree": "no difference",
        "double-tree": "faster",
        "noop": "ceiling",
        "ps-bsp": "✗ not comparable",
    }


def test_without_repeats_there_is_no_column_for_verdicts(tmp_path, no_charts):
    for strategy in ("ring", "star"):
        write_run(tmp_path, strategy)
    (table,) = report_on([tmp_path]).tables
    assert "verdict" not in heads(table)


def test_a_damaged_calibration_is_warned_of(tmp_path, no_charts):
    full(tmp_path)
    (tmp_path / "calibration.json").write_text("{")
    said = [line for line in report_on([tmp_path]).warnings if line.startswith("No predictions")]
    assert len(said) == 1
    assert said[0].startswith(f"No predictions: {tmp_path / 'calibration.json'} is not valid JSON")


def test_without_predictions_there_is_no_column_for_them(tmp_path, no_charts):
    (table,) = report_on([write_run(tmp_path, "ring")]).tables
    assert "predicted" not in heads(table)


def test_a_single_run_is_not_checked_against_others(tmp_path, no_charts):
    for count, strategy in enumerate(("ring", "single"), 1):
        write_run(tmp_path, strategy)
        (table,) = report_on([tmp_path]).tables
        assert any(head.startswith("same as") for head in heads(table)) == (count > 1)


def test_missing_files_are_named(tmp_path, no_charts):
    folder = write_run(tmp_path, "ring")
    (folder / "params.npy").unlink()
    report = report_on([folder])
    page = Page(render(report))
    assert f"No command: {folder / 'config.yaml'} is missing." in page.said("p")
    assert "Not recorded." in page.said("p")
    assert any("env.json" in warning or "machine" in warning for warning in report.warnings)


def test_machines_that_differ_are_shown_and_warned_of(tmp_path, no_charts):
    for strategy, cpu in (("ring", "Abacus"), ("star", "Babbage")):
        folder = write_run(tmp_path, strategy)
        (folder / "env.json").write_text(json.dumps({"cpu": cpu, "cores": 2}))
    report = report_on([tmp_path])
    assert report.facts["Processor"] == ["Abacus", "Babbage"]
    assert any("Abacus" in warning and "Babbage" in warning for warning in report.warnings)


def test_charts_that_cannot_be_drawn_do_not_take_the_page_away(tmp_path, monkeypatch):
    def draw_all(_):
        raise ZeroDivisionError("a bug\nin a chart")

    monkeypatch.setattr(charts, "draw_all", draw_all)
    report = report_on([write_run(tmp_path, "ring")])
    assert report.charts == Plates((), "The charts could not be drawn: ZeroDivisionError: a bug in a chart")
    assert report.charts.absent in Page(render(report)).said("p")


def test_charts_that_there_is_nothing_for_are_named(tmp_path, monkeypatch):
    absent = {"time_to_loss": charts.Absent("no run recorded a loss"), "servers": charts.Absent("all have one")}
    monkeypatch.setattr(charts, "draw_all", lambda _: absent.items())
    page = Page(render(report_on([write_run(tmp_path, "ring")])))
    assert "Not drawn: time to loss (no run recorded a loss); servers (all have one)." in page.said("p")


def test_charts_that_do_not_fit_are_left_out_the_largest_first_and_it_is_said():
    drawn = [Plate(str(size), "t", "", "x" * size, "") for size in (30, 50, 10)]
    kept = fitting(drawn, budget=45)
    assert [len(each.source) for each in kept] == [30, 0, 10]
    assert "too large" in kept[1].note
    assert fitting(drawn, budget=90) == drawn


def test_the_same_runs_give_the_same_page(tmp_path):
    folder = write_run(tmp_path, "ring")
    assert render(report_on([folder])) == render(report_on([folder]))


def test_the_answer_as_json(tmp_path, answer, no_charts):
    folder, file = write_run(tmp_path, "ring"), tmp_path / "page.html"
    code, out, _ = answer("report", folder, "--json", "--out", file)
    found = json.loads(out)
    assert code == 0
    assert (found["report"], found["bytes"]) == (str(file), file.stat().st_size)
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere"], "no such run folder: nowhere"),
        (["{}", "--out", "{}"], "is a folder: give a file"),
        (["{}", "--out", "/no/such/place/a.html"], "there is no folder /no/such/place"),
        (["{}*"], "is a pattern, not the one place for a report: say --out FILE"),
        (["{}", "{}"], "2 folders have no one place for a report: say --out FILE"),
        (["{}", "--baseline", "rign"], "did you mean ring?"),
    ],
)
def test_mistakes_are_one_line(tmp_path, answer, no_charts, words, line):
    folder = write_run(tmp_path, "ring")
    code, out, err = answer("report", *(word.format(folder) for word in words))
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert list(tmp_path.rglob("*.html*")) == []


def test_the_template_travels_with_the_package():
    root = Path(__file__).parents[1]
    tools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = find_packages(root, include=tools["packages"]["find"]["include"])
    assert "experiments.report" in found
    there = {
        path
        for pattern in tools["package-data"]["experiments.report"]
        for path in (root / "experiments/report").glob(pattern)
    }
    assert set((root / "experiments/report/template").iterdir()) <= there


def test_deaths_that_a_run_survived_are_told(tmp_path, no_charts):
    deaths = [{"rank": 2, "step": 120, "stage": "train", "cause": "killed by signal 9"}]
    run_ = load_run(write_run(tmp_path, "ps-async", deaths=deaths))
    warnings = report_on([run_.path]).warnings
    assert any("worker rank 2 died in step 120 (killed by signal 9): 3 workers from there on" in w for w in warnings)
